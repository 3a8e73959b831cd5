#include "dns/upstream/server_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace portolan::dns::upstream {
namespace {

using ::testing::ElementsAre;

ServerSetConfig Config(size_t servers, Policy policy = Policy::kSequential) {
  ServerSetConfig config;
  config.policy = policy;
  for (size_t i = 0; i < servers; ++i) {
    config.servers.push_back(
        SocketAddress{*IpAddress::Parse("10.0.0.1"), static_cast<uint16_t>(i + 1)});
  }
  return config;
}

class ServerOrders : public ::testing::Test {
 protected:
  static std::vector<int> Order(ServerSet& set) {
    const ServerOrder order = set.Order();
    return std::vector<int>(order.places.begin(),
                            order.places.begin() + static_cast<long>(order.size));
  }

  EventLoop loop_;
  Context context_{loop_, KernelRandom, 10};
};

TEST_F(ServerOrders, SequentialKeepsTheOrderOfTheFile) {
  ServerSet set(Config(3), context_);
  EXPECT_THAT(Order(set), ElementsAre(0, 1, 2));
  EXPECT_THAT(Order(set), ElementsAre(0, 1, 2));
}

TEST_F(ServerOrders, RoundRobinStartsOneFurtherEachTime) {
  ServerSet set(Config(3, Policy::kRoundRobin), context_);
  EXPECT_THAT(Order(set), ElementsAre(0, 1, 2));
  EXPECT_THAT(Order(set), ElementsAre(1, 2, 0));
  EXPECT_THAT(Order(set), ElementsAre(2, 0, 1));
}

TEST_F(ServerOrders, RandomStartsAnywhere) {
  ServerSet set(Config(3, Policy::kRandom), context_);
  std::set<int> first;
  for (int i = 0; i < 200; ++i) first.insert(Order(set)[0]);
  EXPECT_EQ(first.size(), 3u);
}

TEST_F(ServerOrders, EndpointsOfOneServiceTakeItsTurnInAnyOrder) {
  ServerSetConfig config = Config(4);
  config.servers[1].alternative = config.servers[2].alternative = true;
  ServerSet set(config, context_);
  std::set<int> first;
  for (int i = 0; i < 200; ++i) {
    const std::vector<int> order = Order(set);
    first.insert(order[0]);
    EXPECT_EQ(order.size(), 4u);
    EXPECT_EQ(order[3], 3) << "the next server stays behind them";
  }
  EXPECT_THAT(first, ElementsAre(0, 1, 2));
}

TEST_F(ServerOrders, RoundRobinIsAmongServicesNotTheirEndpoints) {
  ServerSetConfig config = Config(3, Policy::kRoundRobin);
  config.servers[1].alternative = true;
  ServerSet set(config, context_);
  EXPECT_NE(Order(set)[0], 2);
  EXPECT_EQ(Order(set)[0], 2);
  EXPECT_NE(Order(set)[0], 2);
}

TEST_F(ServerOrders, AServerThatLeftAQuestionUnansweredIsAskedLastUntilItAnswers) {
  ServerSet set(Config(2), context_);
  set.server(0).OnUnanswered();
  EXPECT_THAT(Order(set), ElementsAre(1, 0));
  set.server(0).OnReply(2, {});
  EXPECT_THAT(Order(set), ElementsAre(0, 1));
}

TEST_F(ServerOrders, WhenAllAreAvoidedAllAreAskedAllTheSame) {
  ServerSet set(Config(2), context_);
  for (size_t place : {0, 1}) set.server(place).OnUnanswered();
  EXPECT_THAT(Order(set), ElementsAre(0, 1));
}

TEST_F(ServerOrders, WithoutMaxFailsNoServerIsAvoided) {
  ServerSetConfig config = Config(2);
  config.options.health.max_fails = 0;
  ServerSet set(config, context_);
  set.server(0).OnUnanswered();
  EXPECT_THAT(Order(set), ElementsAre(0, 1));
}

TEST_F(ServerOrders, AServerThatLeadsBackIsNotAskedAtAll) {
  ServerSetConfig config = Config(2);
  config.options.loop = std::make_shared<LoopWatch>(*wire::Zone::Parse("."));
  ServerSet set(config, context_);
  Request probe;
  config.options.loop->WriteProbe(0, context_.random, probe);
  wire::Query query;
  ASSERT_EQ(wire::ParseQuery(probe.bytes(), query), wire::ParseOutcome::kQuery);
  EXPECT_EQ(config.options.loop->Recognise(query), LoopWatch::Seen::kNew);
  EXPECT_THAT(Order(set), ElementsAre(1));
}

TEST_F(ServerOrders, MoreServersThanTheBoundAreLeftOut) {
  EXPECT_EQ(ServerSet(Config(kMaxServers + 5), context_).size(), kMaxServers);
}

}  // namespace
}  // namespace portolan::dns::upstream
