#include "proxy/explain/eligibility.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>

namespace portolan::proxy {
namespace {

constexpr EndpointConditions kReady{true, true, false};
constexpr EndpointConditions kNotReady{false, false, false};
constexpr EndpointConditions kLeaving{false, true, true};
constexpr EndpointConditions kGone{false, false, true};

class EligibilityTest : public ::testing::Test {
 protected:
  Endpoint& Add(EndpointConditions conditions, const std::string& node = "node-a") {
    Endpoint& endpoint = endpoints_.emplace_back();
    endpoint.conditions = conditions;
    endpoint.node_name = node;
    all_.push_back(
        {*SocketAddress::Parse(fmt::format("10.42.0.{}:80", endpoints_.size())), &endpoint});
    return endpoint;
  }
  std::vector<std::string> WhyNot(TrafficPolicy policy = TrafficPolicy::kCluster) const {
    std::vector<std::string> why;
    for (const Eligibility& one : ExplainEligibility(all_, policy, here_)) {
      why.push_back(one.why_not);
    }
    return why;
  }

  Place here_{"node-a", "zone-a"};
  std::deque<Endpoint> endpoints_;
  std::vector<RouteEndpoint> all_;
};

using Words = std::vector<std::string>;

TEST_F(EligibilityTest, ConditionsCount) {
  Add(kReady);
  Add(kNotReady);
  Add(kLeaving);
  Add(kGone);
  EXPECT_EQ(WhyNot(), (Words{"", "not ready", "terminating, and others are ready", "terminating"}));
}

TEST_F(EligibilityTest, WhatServesWhileItTerminatesIsTakenWhereNothingIsReady) {
  Add(kNotReady);
  Add(kLeaving);
  EXPECT_EQ(WhyNot(), (Words{"not ready", ""}));
}

TEST_F(EligibilityTest, HintsForOtherZonesAndNodesAreNamed) {
  Add(kReady).zone_hints = {"zone-a"};
  Add(kReady).zone_hints = {"zone-b", "zone-c"};
  EXPECT_EQ(WhyNot(), (Words{"", "hinted for zone zone-b, zone-c, this pod is in zone-a"}));
  endpoints_[0].node_hints = {"node-a"};
  endpoints_[1].node_hints = {"node-b"};
  EXPECT_EQ(WhyNot(), (Words{"", "hinted for node node-b, this pod is on node-a"}));
}

TEST_F(EligibilityTest, InternalTrafficPolicyLocalNamesBothNodes) {
  Add(kReady);
  Add(kReady, "node-b");
  Add(kNotReady);
  EXPECT_EQ(WhyNot(TrafficPolicy::kLocal),
            (Words{"", "internalTrafficPolicy is Local: it is on node node-b, this pod on node-a",
                   "not ready"}));
  here_ = {};
  EXPECT_EQ(WhyNot(TrafficPolicy::kLocal)[0],
            "internalTrafficPolicy is Local, and which node this pod runs on is not known");
}

}  // namespace
}  // namespace portolan::proxy
