#include "proxy/feed/demand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kNow = absl::Hours(1);
constexpr Demand<std::string>::Limits kLimits = {.most = 3, .idle = absl::Minutes(5)};

TEST(Demand, WhatIsNotAskedForWithinTheIdleTimeIsGivenUp) {
  Demand<std::string> demand(kLimits);
  EXPECT_TRUE(demand.Ask("a", kNow));
  EXPECT_TRUE(demand.Ask("b", kNow));
  EXPECT_FALSE(demand.Ask("a", kNow + absl::Minutes(4)));
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Seconds(299)), IsEmpty());
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(5)), ElementsAre("b"));
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(8)), IsEmpty());
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(9)), ElementsAre("a"));
  EXPECT_TRUE(demand.Ask("a", kNow + absl::Minutes(9)));
}

TEST(Demand, OverTheBoundTheLongestUnaskedGoes) {
  Demand<std::string> demand(kLimits);
  for (const char* key : {"a", "b", "c"}) demand.Ask(key, kNow);
  EXPECT_THAT(demand.TakeIdle(kNow), IsEmpty());
  demand.Ask("a", kNow);
  demand.Ask("d", kNow);
  EXPECT_THAT(demand.TakeIdle(kNow), ElementsAre("b"));
  EXPECT_EQ(demand.size(), 3u);
}

// Who is told of both at once takes what is given up first, and would keep it.
TEST(Demand, WhatWasGivenUpMeanwhileIsNotNew) {
  Demand<std::string> demand(kLimits);
  for (const char* key : {"a", "b", "c", "d"}) demand.Ask(key, kNow);
  demand.TakeIdle(kNow);
  EXPECT_THAT(demand.TakeNew(), ElementsAre("b", "c", "d"));
  EXPECT_THAT(demand.TakeNew(), IsEmpty());
  demand.Ask("a", kNow);
  EXPECT_THAT(demand.TakeNew(), SizeIs(1));
}

}  // namespace
}  // namespace portolan::proxy
