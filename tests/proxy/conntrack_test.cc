#include "proxy/conntrack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ConntrackTest : public ::testing::Test {
 protected:
  void Write(int entries, int limit) {
    std::ofstream(dir_.path() + "/nf_conntrack_count") << entries << "\n";
    std::ofstream(dir_.path() + "/nf_conntrack_max") << limit << "\n";
  }
  std::string MetricsOf(const ConntrackWatch& watch) {
    MetricsPage page;
    page.AddSource([&](MetricFamilies& families) { watch.CollectMetrics(families); });
    return page.Render();
  }

  TempDir dir_;
  EventLoop loop_;
};

TEST_F(ConntrackTest, EntriesAndLimitAreShown) {
  Write(80, 100);
  ConntrackWatch watch(loop_, dir_.path());
  const std::string metrics = MetricsOf(watch);
  EXPECT_THAT(metrics, HasSubstr("portolan_conntrack_entries 80"));
  EXPECT_THAT(metrics, HasSubstr("portolan_conntrack_limit 100"));
  EXPECT_THAT(metrics, HasSubstr("portolan_conntrack_nearly_full 0"));
}

TEST_F(ConntrackTest, ATableThatIsNearlyFullIsWarnedOfOnceAnHour) {
  Write(0, 100);
  ConntrackWatch watch(loop_, dir_.path());
  Write(81, 100);
  const absl::Duration now = absl::Hours(5);
  EXPECT_TRUE(watch.Look(now));
  EXPECT_THAT(MetricsOf(watch), HasSubstr("portolan_conntrack_nearly_full 1"));
  EXPECT_FALSE(watch.Look(now + absl::Minutes(59)));
  EXPECT_TRUE(watch.Look(now + absl::Minutes(60)));
}

TEST_F(ConntrackTest, WithoutTheKernelsModuleThereAreNoMetrics) {
  ConntrackWatch watch(loop_, dir_.path());
  EXPECT_THAT(MetricsOf(watch), Not(HasSubstr("conntrack")));
}

}  // namespace
}  // namespace portolan::proxy
