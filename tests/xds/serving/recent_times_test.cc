#include "xds/serving/recent_times.h"

#include <gtest/gtest.h>

namespace portolan::xds {
namespace {

double Ms(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

TEST(RecentTimes, HaveAMedianAndAWorstOfTheLastOnes) {
  RecentTimes times;
  EXPECT_EQ(times.Quantile(0.5), absl::ZeroDuration());
  for (int i = 1; i <= 60; ++i) times.Add(absl::Milliseconds(i));
  EXPECT_EQ(times.size(), 60u);
  EXPECT_NEAR(Ms(times.Quantile(0.5)), 30, 0.03);
  EXPECT_NEAR(Ms(times.Quantile(0.99)), 60, 0.06);
}

TEST(RecentTimes, ForgetTheOldest) {
  RecentTimes times;
  times.Add(absl::Seconds(50));
  for (size_t i = 0; i < RecentTimes::kMost; ++i) times.Add(absl::Milliseconds(2));
  EXPECT_NEAR(Ms(times.Quantile(0.99)), 2, 0.002);
}

TEST(RecentTimes, TakeWhatIsTooShortOrTooLongForTheNearest) {
  RecentTimes times;
  times.Add(-absl::Seconds(1));  // the wall clock was set back
  EXPECT_NEAR(Ms(times.Quantile(0.5)), 0.001, 1e-6);
  times.Add(absl::InfiniteDuration());
  EXPECT_NEAR(Ms(times.Quantile(0.99)), 3.6e6, 3.6e3);
}

}  // namespace
}  // namespace portolan::xds
