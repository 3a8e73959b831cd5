// kube-proxy's rules of who is eligible; the cases are those of its own documentation.
#include "proxy/forwarder/eligible_endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/forwarder/route_policy.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr EndpointConditions kReady = {};
constexpr EndpointConditions kNotReady = {.ready = false, .serving = false, .terminating = false};
constexpr EndpointConditions kLeaving = {.ready = false, .serving = true, .terminating = true};
constexpr EndpointConditions kGone = {.ready = false, .serving = false, .terminating = true};

struct Spec {
  std::string node = {};
  EndpointConditions conditions = kReady;
  std::vector<std::string> zone_hints = {};
  std::vector<std::string> node_hints = {};
};

// Endpoints 10.42.0.1 and up; gives back the last numbers of those that are eligible.
std::vector<int> Eligible(const std::vector<Spec>& specs, const Place& here,
                          TrafficPolicy policy = TrafficPolicy::kCluster) {
  auto slice = std::make_shared<EndpointSlice>();
  slice->ports = {{"http", Protocol::kTcp, 80}};
  for (const Spec& spec : specs) {
    Endpoint& endpoint = slice->endpoints.emplace_back();
    const std::string number = std::to_string(slice->endpoints.size());
    endpoint.addresses = {*IpAddress::Parse("10.42.0." + number)};
    endpoint.conditions = spec.conditions;
    endpoint.node_name = spec.node;
    endpoint.zone_hints = spec.zone_hints;
    endpoint.node_hints = spec.node_hints;
  }
  std::vector<int> numbers;
  const auto all = EndpointsForPort({slice}, "http", Protocol::kTcp);
  for (const RouteEndpoint& one : EligibleEndpoints(all, policy, here)) {
    numbers.push_back(one.address.ip.bytes()[3]);
  }
  return numbers;
}

const Place kHere = {.node = "n1", .zone = "a"};

TEST(EligibleEndpoints, AreTheReadyOnes) {
  EXPECT_THAT(Eligible({{}, {"", kNotReady}, {"", kLeaving}, {}}, kHere), ElementsAre(1, 4));
}

TEST(EligibleEndpoints, AreThoseThatServeWhileTheyTerminateWhereNoneIsReady) {
  EXPECT_THAT(Eligible({{"", kNotReady}, {"", kLeaving}, {"", kGone}}, kHere), ElementsAre(2));
}

TEST(EligibleEndpoints, AreThoseHintedForTheZoneIfAllAreHinted) {
  EXPECT_THAT(Eligible({{"", kReady, {"a"}}, {"", kReady, {"b"}}, {"", kReady, {"b", "a"}}}, kHere),
              ElementsAre(1, 3));
}

TEST(EligibleEndpoints, AreAllIfOneReadyEndpointHasNoHint) {
  EXPECT_THAT(Eligible({{"", kReady, {"a"}}, {"", kReady, {"b"}}, {}}, kHere),
              ElementsAre(1, 2, 3));
}

TEST(EligibleEndpoints, HintsOfEndpointsThatAreNotReadyDoNotCount) {
  EXPECT_THAT(Eligible({{"", kReady, {"a"}}, {"", kReady, {"b"}}, {"", kNotReady}}, kHere),
              ElementsAre(1));
  EXPECT_THAT(Eligible({{"", kNotReady, {"a"}}, {"", kReady, {"b"}}}, kHere), ElementsAre(2));
}

TEST(EligibleEndpoints, AreAllIfNoHintIsForThisZoneOrItIsNotKnown) {
  const std::vector<Spec> specs = {{"", kReady, {"b"}}, {"", kReady, {"c"}}};
  EXPECT_THAT(Eligible(specs, kHere), ElementsAre(1, 2));
  EXPECT_THAT(Eligible(specs, {}), ElementsAre(1, 2));
  EXPECT_THAT(Eligible({{"", kReady, {""}}, {"", kReady, {"b"}}}, {}), ElementsAre(1, 2));
}

TEST(EligibleEndpoints, HintsForTheNodeComeBeforeHintsForTheZone) {
  const std::vector<Spec> specs = {
      {"n1", kReady, {"a"}, {"n1"}}, {"n2", kReady, {"a"}, {"n2"}}, {"n3", kReady, {"b"}, {"n3"}}};
  EXPECT_THAT(Eligible(specs, kHere), ElementsAre(1));
  EXPECT_THAT(Eligible(specs, {.node = "n9", .zone = "a"}), ElementsAre(1, 2)) << "falls back";
  EXPECT_THAT(Eligible(specs, {.node = "n9", .zone = "z"}), ElementsAre(1, 2, 3));
}

TEST(EligibleEndpoints, OfPolicyLocalAreThoseOfTheNodeWhateverTheHints) {
  const std::vector<Spec> specs = {{"n1", kReady, {"b"}}, {"n2", kReady, {"a"}}, {"n1", kLeaving}};
  EXPECT_THAT(Eligible(specs, kHere, TrafficPolicy::kLocal), ElementsAre(1));
  EXPECT_THAT(Eligible(specs, {.node = "n3", .zone = "a"}, TrafficPolicy::kLocal), IsEmpty());
  EXPECT_THAT(Eligible(specs, {}, TrafficPolicy::kLocal), IsEmpty()) << "the node is not known";
}

TEST(EligibleEndpoints, OfPolicyLocalMayBeThoseThatServeWhileTheyTerminate) {
  EXPECT_THAT(Eligible({{"n1", kLeaving}, {"n2"}}, kHere, TrafficPolicy::kLocal), ElementsAre(1));
}

Service WithAnnotations(LabelMap annotations) {
  Service service;
  service.name = {"default", "backend"};
  ServiceExtras extras;
  extras.annotations = std::move(annotations);
  service.extras = std::move(extras);
  return service;
}

TEST(RoutePolicy, IsReadFromTheService) {
  Service service = WithAnnotations(
      {{"portolan.dev/load-balancer", "round-robin"}, {"portolan.dev/max-connections", "100"}});
  EXPECT_EQ(PolicyOf(service), (RoutePolicy{LoadBalancing::kRoundRobin, 0, 100}));
  service.session_affinity = SessionAffinity::kClientIp;
  EXPECT_EQ(PolicyOf(service).affinity_seconds, 10800u);
  EXPECT_THAT(PolicyFaults(service), IsEmpty());
  EXPECT_EQ(PolicyOf(WithAnnotations({{"portolan.dev/load-balancer", "random"}})).load_balancing,
            LoadBalancing::kRandom);
}

TEST(RoutePolicy, WhatCannotBeReadIsNotFollowedAndNamed) {
  for (const char* bad : {"", "0", "-1", "1x", "4294967296"}) {
    const Service service = WithAnnotations({{"portolan.dev/max-connections", bad}});
    EXPECT_EQ(PolicyOf(service), RoutePolicy()) << bad;
    EXPECT_THAT(PolicyFaults(service), ElementsAre(HasSubstr("Service default/backend: annotation "
                                                             "portolan.dev/max-connections: '" +
                                                             std::string(bad) + "' is not")));
  }
  const Service service = WithAnnotations({{"portolan.dev/load-balancer", "least_load"}});
  EXPECT_EQ(PolicyOf(service), RoutePolicy());
  EXPECT_THAT(PolicyFaults(service), ElementsAre(HasSubstr("'least_load' is not least-load, ")));
}

}  // namespace
}  // namespace portolan::proxy
