#include "proxy/feed/address_demand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

IpAddress Ip(int i) {
  const auto byte = [&](int shift) { return static_cast<uint8_t>(i >> shift & 0xff); };
  const uint8_t bytes[4] = {10, byte(16), byte(8), byte(0)};
  return IpAddress::V4(bytes);
}

constexpr absl::Duration kNow = absl::Hours(1);

TEST(AddressDemand, WhatIsNotAskedForIsGivenUpAfterFiveMinutes) {
  AddressDemand demand;
  EXPECT_TRUE(demand.Ask(Ip(1), kNow));
  EXPECT_TRUE(demand.Ask(Ip(2), kNow));
  EXPECT_FALSE(demand.Ask(Ip(1), kNow + absl::Minutes(4)));
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Seconds(299)), IsEmpty());
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(5)), ElementsAre(Ip(2)));
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(8)), IsEmpty());
  EXPECT_THAT(demand.TakeIdle(kNow + absl::Minutes(9)), ElementsAre(Ip(1)));
  EXPECT_TRUE(demand.Ask(Ip(1), kNow + absl::Minutes(9)));
}

TEST(AddressDemand, OverTheBoundTheLongestUnaskedGoes) {
  AddressDemand demand;
  const int most = static_cast<int>(AddressDemand::kMost);
  for (int i = 0; i < most; ++i) demand.Ask(Ip(i), kNow);
  EXPECT_THAT(demand.TakeIdle(kNow), IsEmpty());
  demand.Ask(Ip(0), kNow);
  demand.Ask(Ip(most), kNow);
  EXPECT_THAT(demand.TakeIdle(kNow), ElementsAre(Ip(1)));
  EXPECT_EQ(demand.size(), AddressDemand::kMost);
}

}  // namespace
}  // namespace portolan::proxy
