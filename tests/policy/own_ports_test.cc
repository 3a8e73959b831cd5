#include "policy/own_ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<ContainerPort> kPorts = {
    {"web", Protocol::kTcp, 80}, {"web", Protocol::kTcp, 81}, {"dns", Protocol::kUdp, 53}};

PolicyInput WithPorts(std::vector<PortInput> ports) {
  PolicyInput policy;
  policy.rules.emplace_back().ports = std::move(ports);
  return policy;
}

TEST(OwnPorts, ANameIsTheFirstPortOfThatNameAndProtocol) {
  const PolicyInput policy = WithOwnPorts(
      WithPorts({{Protocol::kTcp, 0, 0, "web"}, {Protocol::kUdp, 0, 0, "dns"}}), kPorts);
  ASSERT_THAT(policy.rules, SizeIs(1));
  EXPECT_THAT(policy.rules[0].ports,
              ElementsAre(PortInput{Protocol::kTcp, 80}, PortInput{Protocol::kUdp, 53}));
}

TEST(OwnPorts, ANameThatThePodLacksLeavesTheRulesOtherPorts) {
  const PolicyInput policy =
      WithOwnPorts(WithPorts({{Protocol::kTcp, 0, 0, "dns"}, {Protocol::kTcp, 22, 0}}), kPorts);
  ASSERT_THAT(policy.rules, SizeIs(1));
  EXPECT_THAT(policy.rules[0].ports, ElementsAre(PortInput{Protocol::kTcp, 22}));
}

TEST(OwnPorts, ARuleThatIsLeftWithoutPortsIsNone) {
  EXPECT_THAT(WithOwnPorts(WithPorts({{Protocol::kTcp, 0, 0, "dns"}}), kPorts).rules, IsEmpty());
  EXPECT_THAT(WithOwnPorts(WithPorts({{Protocol::kTcp, 0, 0, "web"}}), {}).rules, IsEmpty());
}

TEST(OwnPorts, ARuleOfEveryPortAndPortsByNumberStayAsTheyAre) {
  for (const PolicyInput& policy :
       {WithPorts({}), WithPorts({{Protocol::kTcp, 80, 90}, {Protocol::kUdp, 0, 0}})}) {
    EXPECT_EQ(WithOwnPorts(policy, kPorts), policy);
  }
}

}  // namespace
}  // namespace portolan
