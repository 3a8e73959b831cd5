#include "common/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "absl/time/clock.h"

namespace portolan {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// 0 if the folder cannot be read.
size_t CountEntries(const char* path) {
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(path));
  if (folder == nullptr) return 0;
  size_t count = 0;
  while (const dirent* entry = readdir(folder.get())) count += entry->d_name[0] != '.';
  return count;
}

// When the program was loaded: close enough to the process's start.
const absl::Time kStarted = absl::Now();

}  // namespace

void AddProcessMetrics(MetricFamilies& families) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  AddCounterSample(families, "process_cpu_seconds_total",
                   "Total user and system CPU time spent in seconds.", {},
                   Seconds(used.ru_utime) + Seconds(used.ru_stime));
  AddGaugeSample(families, "process_start_time_seconds",
                 "Start time of the process since unix epoch in seconds.", {},
                 absl::ToDoubleSeconds(kStarted - absl::UnixEpoch()));
  double virtual_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  AddGaugeSample(families, "process_virtual_memory_bytes", "Virtual memory size in bytes.", {},
                 virtual_pages * page_bytes);
  AddGaugeSample(families, "process_resident_memory_bytes", "Resident memory size in bytes.", {},
                 resident_pages * page_bytes);
  AddGaugeSample(families, "process_open_fds", "Number of open file descriptors.", {},
                 static_cast<double>(CountEntries("/proc/self/fd")));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  AddGaugeSample(families, "process_max_fds", "Maximum number of open file descriptors.", {},
                 static_cast<double>(limit.rlim_cur));
}

}  // namespace portolan
