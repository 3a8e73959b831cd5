#include "common/process_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/time/clock.h"

namespace portolan {
namespace {

TEST(ProcessMetrics, SayWhatTheProcessTakes) {
  MetricFamilies families;
  AddProcessMetrics(families);
  std::map<std::string, double> values;
  for (const auto& family : families) {
    values[family.name] = family.metric.at(0).gauge.value + family.metric.at(0).counter.value;
  }
  EXPECT_EQ(values.size(), 6u);
  EXPECT_GT(values["process_cpu_seconds_total"], 0);
  EXPECT_LT(values["process_cpu_seconds_total"], 600);
  EXPECT_GT(values["process_resident_memory_bytes"], 1e6);
  EXPECT_GT(values["process_virtual_memory_bytes"], values["process_resident_memory_bytes"]);
  EXPECT_GE(values["process_open_fds"], 3);
  EXPECT_GE(values["process_max_fds"], values["process_open_fds"]);
  EXPECT_NEAR(values["process_start_time_seconds"],
              absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 600);
}

}  // namespace
}  // namespace portolan
