// Which of the eligible endpoints a connection goes to.
#include "proxy/forwarder/balancer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

namespace portolan::proxy {
namespace {

using testing::UnorderedElementsAre;

SocketAddress At(int number) {
  return *SocketAddress::Parse(fmt::format("10.42.{}.{}:80", number / 256, number % 256));
}

Route RouteTo(int endpoints, RoutePolicy policy = {}) {
  Route route;
  route.target = std::make_shared<const RouteTarget>();
  route.policy = policy;
  for (int i = 1; i <= endpoints; ++i) route.endpoints.push_back({At(i), nullptr});
  return route;
}

class BalancerTest : public testing::Test {
 protected:
  UsedEndpoint* Take(const Route& route, std::span<const SocketAddress> tried = {}) {
    return balancer_.Take(route, tried, now_);
  }
  SocketAddress TakeAndRelease(const Route& route) {
    UsedEndpoint* taken = Take(route);
    balancer_.Succeeded(*taken);
    const SocketAddress address = taken->address;
    balancer_.Release(*taken);
    return address;
  }
  // A connection to `number` fails, whatever it takes to be sent there.
  void Fail(const Route& route, int number) {
    std::vector<SocketAddress> others;
    for (const RouteEndpoint& one : route.endpoints) {
      if (one.address != At(number)) others.push_back(one.address);
    }
    UsedEndpoint* taken = Take(route, others);
    ASSERT_NE(taken, nullptr);
    balancer_.Failed(*taken, now_);
  }
  // Where the next hundred connections go, one after the other.
  std::set<SocketAddress> Reached(const Route& route) {
    std::set<SocketAddress> reached;
    for (int i = 0; i < 100; ++i) reached.insert(TakeAndRelease(route));
    return reached;
  }

  ForwarderCounters counters_;
  absl::Duration now_ = absl::Seconds(1000);
  Balancer balancer_{{}, counters_, 1};
};

TEST_F(BalancerTest, GoesRoundAmongEqualsAndSkipsWhatWasTried) {
  const Route route = RouteTo(3);
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 30; ++i) ++taken[TakeAndRelease(route)];
  EXPECT_EQ(taken.size(), 3u);
  for (const auto& [address, times] : taken) EXPECT_EQ(times, 10) << address.ToString();

  std::vector<SocketAddress> tried;
  for (int i = 0; i < 3; ++i) tried.push_back(Take(route, tried)->address);
  EXPECT_THAT(tried, UnorderedElementsAre(At(1), At(2), At(3)));
  EXPECT_EQ(Take(route, tried), nullptr);
  EXPECT_EQ(Take(RouteTo(0)), nullptr);
}

TEST_F(BalancerTest, SpreadsConnectionsThatStayEvenly) {
  const Route route = RouteTo(7);
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 700; ++i) ++taken[Take(route)->address];
  for (const auto& [address, times] : taken) EXPECT_NEAR(times, 100, 3) << address.ToString();
}

TEST_F(BalancerTest, ABusyEndpointGetsLess) {
  const Route route = RouteTo(2);
  const std::vector<SocketAddress> not_first = {At(2)};
  for (int i = 0; i < 50; ++i) Take(route, not_first);
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 40; ++i) ++taken[Take(route)->address];
  // The first is taken only where both picks fall on it.
  EXPECT_GT(taken[At(2)], taken[At(1)]);
  EXPECT_GT(taken[At(2)], 22);
}

TEST_F(BalancerTest, RoundRobinDoesNotLookAtTheLoad) {
  const Route route = RouteTo(2, {.load_balancing = LoadBalancing::kRoundRobin});
  const std::vector<SocketAddress> not_first = {At(2)};
  for (int i = 0; i < 50; ++i) Take(route, not_first);
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 40; ++i) ++taken[Take(route)->address];
  EXPECT_EQ(taken[At(1)], 20);
}

TEST_F(BalancerTest, RandomReachesAllInNoOrder) {
  const Route route = RouteTo(4, {.load_balancing = LoadBalancing::kRandom});
  std::map<SocketAddress, int> taken;
  int repeats = 0;
  SocketAddress last;
  for (int i = 0; i < 400; ++i) {
    const SocketAddress address = TakeAndRelease(route);
    if (address == last) ++repeats;
    last = address;
    ++taken[address];
  }
  for (const auto& [address, times] : taken) EXPECT_NEAR(times, 100, 50) << address.ToString();
  EXPECT_GT(repeats, 0);
}

TEST_F(BalancerTest, DoesNotStartAtTheFirstEndpointEverywhere) {
  const Route route = RouteTo(10);
  std::map<SocketAddress, int> first;
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    ++first[Balancer({}, counters_, seed * 7919).Take(route, {}, now_)->address];
  }
  EXPECT_EQ(first.size(), 10u);
  for (const auto& [address, times] : first) EXPECT_LT(times, 300) << address.ToString();
}

// --- Policy ---

TEST_F(BalancerTest, WhatIsNotAllowedIsNeverTakenAndTakesNoTurn) {
  const Route route = RouteTo(6);
  const auto even = [](const SocketAddress& to) {
    return to == At(2) || to == At(4) || to == At(6);
  };
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 30; ++i) {
    UsedEndpoint* one = balancer_.Take(route, {}, now_, even);
    ++taken[one->address];
    balancer_.Release(*one);
  }
  EXPECT_EQ(taken, (std::map<SocketAddress, int>{{At(2), 10}, {At(4), 10}, {At(6), 10}}));
  const std::vector<SocketAddress> tried = {At(2), At(4), At(6)};
  EXPECT_EQ(balancer_.Take(route, tried, now_, even), nullptr) << "denied ones are left";
  EXPECT_EQ(balancer_.Take(route, {}, now_, [](const auto&) { return false; }), nullptr);
}

TEST_F(BalancerTest, AmongTheAllowedTheLessLoadedGetsMore) {
  const Route route = RouteTo(4);
  const auto last_two = [](const SocketAddress& to) { return to == At(3) || to == At(4); };
  const std::vector<SocketAddress> not_third = {At(4)};
  for (int i = 0; i < 50; ++i) balancer_.Take(route, not_third, now_, last_two);
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 40; ++i) ++taken[balancer_.Take(route, {}, now_, last_two)->address];
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_GT(taken[At(4)], 22);
}

TEST_F(BalancerTest, RandomIsFairAmongTheAllowed) {
  const Route route = RouteTo(8, {.load_balancing = LoadBalancing::kRandom});
  const auto last_half = [](const SocketAddress& to) { return to >= At(5); };
  std::map<SocketAddress, int> taken;
  for (int i = 0; i < 400; ++i) {
    UsedEndpoint* one = balancer_.Take(route, {}, now_, last_half);
    ++taken[one->address];
    balancer_.Release(*one);
  }
  EXPECT_EQ(taken.size(), 4u);
  for (const auto& [address, times] : taken) EXPECT_NEAR(times, 100, 50) << address.ToString();
}

TEST_F(BalancerTest, AffinityLeavesAnEndpointThatIsNoLongerAllowed) {
  const Route route = RouteTo(3, {.affinity_seconds = 60});
  const SocketAddress first = TakeAndRelease(route);
  const auto others = [&](const SocketAddress& to) { return to != first; };
  UsedEndpoint* second = balancer_.Take(route, {}, now_, others);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second->address, first);
  EXPECT_EQ(TakeAndRelease(route), second->address) << "also once the first is allowed again";
}

TEST_F(BalancerTest, AnEjectedEndpointIsBetterThanNoneThatIsAllowed) {
  const Route route = RouteTo(3);
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  const auto first = [](const SocketAddress& to) { return to == At(1); };
  UsedEndpoint* taken = balancer_.Take(route, {}, now_, first);
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken->address, At(1));
}

// --- Session affinity ---

TEST_F(BalancerTest, AffinityStaysUntilItWasNotUsedForItsTimeout) {
  const Route route = RouteTo(10, {.affinity_seconds = 60});
  const SocketAddress first = TakeAndRelease(route);
  for (int i = 0; i < 20; ++i) {
    now_ += absl::Seconds(50);
    EXPECT_EQ(TakeAndRelease(route), first) << "each use begins the time anew";
  }
  EXPECT_EQ(counters_.affine.value(), 20u);
  now_ += absl::Seconds(61);
  EXPECT_NE(TakeAndRelease(route), first) << "the next in turn";
}

TEST_F(BalancerTest, AffinityLastsForItsWholeTimeoutWhereverInASecondItBegins) {
  const Route route = RouteTo(10, {.affinity_seconds = 1});
  for (int tenth = 0; tenth < 10; ++tenth) {
    now_ += absl::Seconds(100) + absl::Milliseconds(110);
    const SocketAddress first = TakeAndRelease(route);
    now_ += absl::Milliseconds(990);
    EXPECT_EQ(TakeAndRelease(route), first) << tenth;
    now_ += absl::Milliseconds(1200);
    EXPECT_NE(TakeAndRelease(route), first) << tenth;
  }
}

TEST_F(BalancerTest, AffinityIsOnePerServicePort) {
  std::set<SocketAddress> reached;
  for (int i = 0; i < 20; ++i) {
    const Route route = RouteTo(10, {.affinity_seconds = 60});
    reached.insert(TakeAndRelease(route));
  }
  EXPECT_GT(reached.size(), 1u);
}

TEST_F(BalancerTest, AffinityMovesWhenItsEndpointIsNoLongerEligibleAndStaysThere) {
  Route route = RouteTo(3, {.affinity_seconds = 60});
  const SocketAddress first = TakeAndRelease(route);
  Route fewer = RouteTo(0, route.policy);
  fewer.target = route.target;
  for (const RouteEndpoint& one : route.endpoints) {
    if (one.address != first) fewer.endpoints.push_back(one);
  }
  const SocketAddress second = TakeAndRelease(fewer);
  EXPECT_NE(second, first);
  EXPECT_EQ(TakeAndRelease(route), second) << "also once the first is back";
}

TEST_F(BalancerTest, AffinityMovesWhereItsEndpointCannotBeConnectedTo) {
  const Route route = RouteTo(3, {.affinity_seconds = 60});
  UsedEndpoint* failing = Take(route);
  const std::vector<SocketAddress> tried = {failing->address};
  balancer_.Failed(*failing, now_);
  UsedEndpoint* other = Take(route, tried);
  EXPECT_NE(other->address, tried[0]);
  EXPECT_EQ(TakeAndRelease(route), other->address);
}

TEST_F(BalancerTest, AllWorkersSendAClientToTheSameEndpoint) {
  constexpr int kWorkers = 4;
  for (int round = 0; round < 200; ++round) {
    const Route route = RouteTo(50, {.affinity_seconds = 60});
    std::array<SocketAddress, kWorkers> taken;
    std::array<std::thread, kWorkers> workers;
    for (int i = 0; i < kWorkers; ++i) {
      workers[i] = std::thread([&, i] {
        ForwarderCounters counters;
        Balancer balancer({}, counters, round * kWorkers + i);
        taken[i] = balancer.Take(route, {}, now_)->address;
      });
    }
    for (std::thread& worker : workers) worker.join();
    for (const SocketAddress& address : taken) ASSERT_EQ(address, taken[0]) << round;
  }
}

// --- Ejection ---

TEST_F(BalancerTest, AnEndpointThatKeepsFailingIsEjectedAndLetBackByATrial) {
  const Route route = RouteTo(3);
  Fail(route, 1);
  Fail(route, 1);
  EXPECT_TRUE(Reached(route).contains(At(1))) << "and it succeeded, so that it counts anew";
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  EXPECT_EQ(counters_.ejected.value(), 1u);
  EXPECT_FALSE(Reached(route).contains(At(1)));
  now_ += absl::Seconds(6);
  EXPECT_TRUE(Reached(route).contains(At(1)));
  EXPECT_EQ(counters_.returned.value(), 1u);
}

TEST_F(BalancerTest, OneConnectionAtATimeTriesAnEjectedEndpoint) {
  const Route route = RouteTo(2);
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  now_ += absl::Seconds(6);
  int tries = 0;
  for (int i = 0; i < 10; ++i) {
    if (Take(route)->address == At(1)) ++tries;
  }
  EXPECT_EQ(tries, 1);
}

TEST_F(BalancerTest, EachTrialThatFailsDoublesTheTimeUpToAMost) {
  const Route route = RouteTo(2);
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  absl::Duration expected = absl::Seconds(5);
  for (int i = 0; i < 10; ++i) {
    now_ += expected - absl::Milliseconds(1);
    EXPECT_FALSE(Reached(route).contains(At(1))) << i;
    now_ += absl::Milliseconds(2);
    Fail(route, 1);
    expected = std::min(2 * expected, absl::Minutes(5));
  }
  now_ += absl::Minutes(5);
  EXPECT_TRUE(Reached(route).contains(At(1)));
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  now_ += absl::Seconds(6);
  EXPECT_TRUE(Reached(route).contains(At(1))) << "it begins anew";
}

TEST_F(BalancerTest, NeverMoreThanHalfAreEjected) {
  const Route route = RouteTo(5);
  for (int number = 1; number <= 5; ++number) {
    for (int i = 0; i < 3; ++i) Fail(route, number);
  }
  EXPECT_EQ(counters_.ejected.value(), 2u);
  EXPECT_EQ(counters_.spared.value(), 3u);
  EXPECT_EQ(Reached(route).size(), 3u);
  const Route alone = RouteTo(1);
  for (int i = 0; i < 9; ++i) Fail(alone, 1);
  EXPECT_EQ(TakeAndRelease(alone), At(1));
}

TEST_F(BalancerTest, AnEjectedEndpointIsBetterThanNone) {
  const Route route = RouteTo(2);
  for (int i = 0; i < 3; ++i) Fail(route, 1);
  const std::vector<SocketAddress> tried = {At(2)};
  ASSERT_NE(Take(route, tried), nullptr);
}

TEST_F(BalancerTest, AffinityLeavesAnEjectedEndpoint) {
  const Route route = RouteTo(4, {.affinity_seconds = 60});
  const SocketAddress first = TakeAndRelease(route);
  for (int i = 0; i < 3; ++i) balancer_.Failed(*Take(route), now_);
  EXPECT_NE(TakeAndRelease(route), first);
}

TEST_F(BalancerTest, EjectionCanBeSwitchedOff) {
  Balancer never({.eject_after = 0}, counters_, 1);
  const Route route = RouteTo(2);
  const std::vector<SocketAddress> not_first = {At(2)};
  for (int i = 0; i < 20; ++i) never.Failed(*never.Take(route, not_first, now_), now_);
  std::set<SocketAddress> reached;
  for (int i = 0; i < 2; ++i) reached.insert(never.Take(route, {}, now_)->address);
  EXPECT_EQ(reached.size(), 2u);
}

// --- Review ---

TEST_F(BalancerTest, ConnectionsToADeletedEndpointAreCountedUntilTheyEnd) {
  Directory directory;
  EndpointSlice slice;
  slice.name = {"default", "backend-1"};
  slice.service = "backend";
  slice.ports = {{"http", Protocol::kTcp, 80}};
  for (int i = 1; i <= 2; ++i) slice.endpoints.emplace_back().addresses = {At(i).ip};
  directory.Put(slice);
  Route route = RouteTo(2);
  route.target.reset(new RouteTarget{.service = {"default", "backend"}, .port_name = "http"});
  UsedEndpoint* one = Take(route);
  UsedEndpoint* two = Take(route);
  balancer_.Review(*directory.Commit().snapshot);
  EXPECT_EQ(counters_.endpoint_deleted.value(), 0u);

  // An endpoint that is not ready is still there.
  std::erase_if(slice.endpoints, [&](Endpoint& e) { return e.addresses[0] == one->address.ip; });
  slice.endpoints[0].conditions = {.ready = false, .serving = false, .terminating = false};
  directory.Put(slice);
  const auto snapshot = directory.Commit().snapshot;
  balancer_.Review(*snapshot);
  balancer_.Review(*snapshot);
  EXPECT_EQ(counters_.endpoint_deleted.value(), 1u);
  EXPECT_TRUE(one->deleted);
  EXPECT_FALSE(two->deleted);
  balancer_.Release(*one);
  EXPECT_EQ(counters_.endpoint_deleted_ended.value(), 1u);
  balancer_.Review(*snapshot);
  balancer_.Release(*two);
  EXPECT_EQ(counters_.endpoint_deleted_ended.value(), 1u);
}

TEST_F(BalancerTest, EndpointsThatAreNoLongerHeldAreNotTakenForDeleted) {
  const Directory on_demand(Directory::Slices::kOfThoseAskedFor);
  const Route route = RouteTo(1);
  UsedEndpoint* one = Take(route);
  balancer_.Review(*on_demand.snapshot());
  EXPECT_FALSE(one->deleted);
  EXPECT_EQ(counters_.endpoint_deleted.value(), 0u);
  balancer_.Release(*one);
}

}  // namespace
}  // namespace portolan::proxy
