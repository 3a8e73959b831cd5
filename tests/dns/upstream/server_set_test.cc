#include "dns/upstream/server_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace portolan::dns::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

ServerSetConfig Config(size_t servers, Policy policy = Policy::kSequential) {
  ServerSetConfig config;
  config.policy = policy;
  for (size_t i = 0; i < servers; ++i) {
    config.servers.push_back({*IpAddress::Parse("10.0.0.1"), static_cast<uint16_t>(i + 1)});
  }
  return config;
}

class ServerOrders : public ::testing::Test {
 protected:
  std::vector<int> Order(ServerSet& set, Clock::time_point now) {
    const ServerOrder order = set.Order(now, random_);
    return std::vector<int>(order.places.begin(),
                            order.places.begin() + static_cast<long>(order.size));
  }

  Random random_{KernelRandom};
  Clock::time_point start_ = Clock::now();
};

TEST_F(ServerOrders, SequentialKeepsTheOrderOfTheFile) {
  ServerSet set(Config(3));
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1, 2));
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1, 2));
}

TEST_F(ServerOrders, RoundRobinStartsOneFurtherEachTime) {
  ServerSet set(Config(3, Policy::kRoundRobin));
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1, 2));
  EXPECT_THAT(Order(set, start_), ElementsAre(1, 2, 0));
  EXPECT_THAT(Order(set, start_), ElementsAre(2, 0, 1));
}

TEST_F(ServerOrders, RandomStartsAnywhere) {
  ServerSet set(Config(3, Policy::kRandom));
  std::set<int> first;
  for (int i = 0; i < 200; ++i) first.insert(Order(set, start_)[0]);
  EXPECT_EQ(first.size(), 3u);
}

TEST_F(ServerOrders, AServerIsDownAfterTwoFailuresInARow) {
  ServerSet set(Config(2));
  set.OnFailure(0, start_);
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1));
  set.OnReply(0, 0);
  set.OnFailure(0, start_);
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1));
  set.OnFailure(0, start_);
  EXPECT_THAT(Order(set, start_), ElementsAre(1, 0));
}

TEST_F(ServerOrders, ADownServerIsProbedByOneQueryASecondLater) {
  ServerSet set(Config(2));
  set.OnFailure(0, start_);
  set.OnFailure(0, start_);
  EXPECT_THAT(Order(set, start_ + milliseconds(999)), ElementsAre(1, 0));
  EXPECT_THAT(Order(set, start_ + seconds(1)), ElementsAre(0, 1));
  EXPECT_THAT(Order(set, start_ + seconds(1)), ElementsAre(1, 0));
  set.OnReply(0, 0);
  EXPECT_THAT(Order(set, start_ + seconds(1)), ElementsAre(0, 1));
}

TEST_F(ServerOrders, FailedProbesComeFurtherApart) {
  ServerSet set(Config(2));
  set.OnFailure(0, start_);
  set.OnFailure(0, start_);
  const auto probe = start_ + seconds(1);
  Order(set, probe);
  set.OnFailure(0, probe);
  EXPECT_THAT(Order(set, probe + milliseconds(1999)), ElementsAre(1, 0));
  EXPECT_THAT(Order(set, probe + seconds(2)), ElementsAre(0, 1));
}

TEST_F(ServerOrders, AllDownAreAllAskedAllTheSame) {
  ServerSet set(Config(2));
  for (size_t place : {0, 1}) {
    set.OnFailure(place, start_);
    set.OnFailure(place, start_);
  }
  EXPECT_THAT(Order(set, start_), ElementsAre(0, 1));
}

TEST_F(ServerOrders, MoreServersThanTheBoundAreLeftOut) {
  EXPECT_EQ(ServerSet(Config(kMaxServers + 5)).size(), kMaxServers);
}

}  // namespace
}  // namespace portolan::dns::upstream
