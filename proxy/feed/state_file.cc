#include "proxy/feed/state_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr std::string_view kAside = ".bad-";

// Removes all but the newest kMaxSetAside of those set aside from `path`; their names sort by time.
void RemoveOldAsides(const std::filesystem::path& path) {
  const std::string prefix = path.filename().string() + std::string(kAside);
  std::vector<std::filesystem::path> asides;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with(prefix)) asides.push_back(it->path());
  }
  std::sort(asides.begin(), asides.end());
  const size_t keep = std::min(kMaxSetAside, asides.size());
  for (size_t i = 0; i < asides.size() - keep; ++i) std::filesystem::remove(asides[i], error);
}

}  // namespace

std::string SetAside(const std::string& path) {
  const std::string aside = path + std::string(kAside) +
                            absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  if (std::rename(path.c_str(), aside.c_str()) != 0) {
    return "cannot be set aside: " + std::generic_category().message(errno);
  }
  RemoveOldAsides(path);
  return "set aside as " + aside;
}

absl::StatusOr<RestoredState> LoadState(const std::string& path, std::string_view reader,
                                        Directory::Slices slices, PolicyReplica::Own own) {
  const auto file = ReadFile(path, kMaxStateBytes);
  if (absl::IsNotFound(file.status())) return file.status();
  absl::Status status = file.status();
  if (status.ok()) {
    auto state = RestoreState(*file, reader, slices, std::move(own));
    if (state.ok()) return *std::move(state);
    status = state.status();
  }
  return InvalidArgument("saved state {} not used: {}; {}", path, Message(status), SetAside(path));
}

StateWriter::StateWriter(EventLoop& loop, std::string path, absl::Duration interval,
                         std::function<Image()> take, Counters counters)
    : loop_(loop),
      path_(std::move(path)),
      interval_(interval),
      take_(std::move(take)),
      counters_(counters),
      timer_(loop.AddTimer([this] {
        scheduled_ = false;
        BeginWrite();
      })),
      self_(std::make_shared<StateWriter*>(this)),
      thread_([this] { disk_.Run(); }) {}

StateWriter::~StateWriter() { Stop(); }

void StateWriter::Changed() {
  changed_ = true;
  Schedule();
}

void StateWriter::Schedule() {
  if (scheduled_ || writing_) return;
  scheduled_ = true;
  timer_.Start(fault_.empty() ? interval_ : retry_after_);
}

void StateWriter::BeginWrite() {
  if (!changed_) return;
  changed_ = false;
  writing_ = true;
  disk_.Post([this, image = take_()] { Write(image); });
}

// On the disk's thread.
void StateWriter::Write(const Image& image) {
  std::error_code ignored;  // WriteState says it better.
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  absl::Status status = image(path_);
  results_.With([&](auto& results) { results.push_back(std::move(status)); });
  loop_.Post([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->TakeResults();
  });
}

void StateWriter::TakeResults() {
  const auto results = results_.With([](auto& all) { return std::exchange(all, {}); });
  for (const absl::Status& status : results) Report(status);
}

void StateWriter::Report(const absl::Status& status) {
  writing_ = false;
  if (status.ok()) {
    counters_.written.Add();
    if (!fault_.empty()) log::info("state is saved to {} again", path_);
    fault_.clear();
  } else {
    counters_.failed.Add();
    if (fault_.empty()) {
      log::error("state cannot be saved, serving from memory: {}", Message(status));
      retry_after_ = kFirstRetry;
    } else {
      retry_after_ = std::min(retry_after_ * 2, kLastRetry);
    }
    fault_ = std::string(Message(status));
    changed_ = true;
  }
  if (changed_) Schedule();
}

void StateWriter::Stop() {
  if (!thread_.joinable()) return;
  timer_.Cancel();
  // Nothing is scheduled any more.
  scheduled_ = true;
  BeginWrite();
  disk_.Stop();
  thread_.join();
  TakeResults();
}

}  // namespace portolan::proxy
