// Who may connect to the pod, as the sidecar keeps it beside what the pod may reach.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/feed/policy_replica.h"
#include "tests/proxy/feed/policy_names.h"
#include "tests/xds/api/policy_samples.h"

namespace portolan::proxy {

using namespace api;
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class IngressReplica : public testing::Test {
 protected:
  void Take(std::string_view type, std::vector<Resource> resources,
            std::vector<std::string> removed = {}) {
    const absl::Status status =
        replica.Apply(MakeResponse(type, std::move(resources), std::move(removed)));
    ASSERT_TRUE(status.ok()) << status;
  }
  void TakeHead(std::vector<std::string> egress, std::vector<std::string> ingress,
                std::vector<ContainerPort> ports = {}, const std::string& version = "h1") {
    Take(kEgressPolicyType, {BothWaysResource(kOwn, version, std::move(egress), std::move(ingress),
                                              std::move(ports))});
  }
  // The members of kS1 may connect to the port "web", 8080; nothing limits what the pod reaches.
  void TakeWhole(const std::vector<std::string>& members) {
    TakeHead({}, {kIn}, {{"web", Protocol::kTcp, 8080}});
    Take(kPolicyRulesType, {NamedPortRulesResource(kIn, "i1", {kS1}, "web")});
    Take(kPeerSetType, {PeerSetResource(kS1, "s1", members)});
    ASSERT_NE(replica.ingress_rules(), nullptr);
  }
  bool MayConnect(const std::string& from, uint16_t port) const {
    return replica.ingress_rules()->Judge({*IpAddress::Parse(from), port}, Protocol::kTcp).allowed;
  }
  std::vector<std::string> Wanted(std::string_view type) const {
    std::vector<std::string> wanted;
    replica.ForEachWanted(type, [&](const std::string& name) { wanted.push_back(name); });
    return wanted;
  }

  PolicyReplica replica{{kOwn, {*IpAddress::Parse("10.42.0.9")}, true}};
};

TEST_F(IngressReplica, WhoMayConnectIsJudgedByAddressAndOwnPort) {
  TakeWhole({"10.0.0.1"});
  EXPECT_TRUE(replica.ingress_rules()->isolates());
  EXPECT_TRUE(MayConnect("10.0.0.1", 8080));
  EXPECT_FALSE(MayConnect("10.0.0.1", 8081));
  EXPECT_FALSE(MayConnect("10.0.0.2", 8080));
  // The pod itself and its node.
  for (const char* always : {"127.0.0.1", "10.42.0.9", "192.168.0.7"}) {
    EXPECT_TRUE(MayConnect(always, 22)) << always;
  }
}

TEST_F(IngressReplica, APodThatOnlyIngressSelectsReachesEverything) {
  TakeWhole({"10.0.0.1"});
  ASSERT_NE(replica.rules(), nullptr);
  EXPECT_FALSE(replica.rules()->isolates());
  EXPECT_THAT(replica.rules()->policies(), IsEmpty());
}

TEST_F(IngressReplica, APodThatOnlyEgressSelectsIsConnectedToByAnybody) {
  TakeHead({kA}, {});
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {})});
  EXPECT_TRUE(replica.rules()->isolates());
  EXPECT_FALSE(replica.ingress_rules()->isolates());
  EXPECT_TRUE(MayConnect("10.0.0.2", 80));
}

TEST_F(IngressReplica, APortThatThePodDoesNotNameIsNone) {
  TakeHead({}, {kIn}, {{"web", Protocol::kUdp, 8080}, {"other", Protocol::kTcp, 80}});
  Take(kPolicyRulesType, {NamedPortRulesResource(kIn, "i1", {kS1}, "web")});
  Take(kPeerSetType, {PeerSetResource(kS1, "s1", {"10.0.0.1"})});
  for (const uint16_t port : {uint16_t{80}, uint16_t{8080}, uint16_t{1}}) {
    EXPECT_FALSE(MayConnect("10.0.0.1", port)) << port;
  }
  // It names it now.
  const auto egress = replica.rules();
  TakeHead({}, {kIn}, {{"web", Protocol::kTcp, 8081}}, "h2");
  EXPECT_TRUE(MayConnect("10.0.0.1", 8081));
  EXPECT_EQ(replica.rules(), egress);
}

TEST_F(IngressReplica, NothingIsKnownUntilAllOfBothHasArrived) {
  TakeHead({kA}, {kIn});
  EXPECT_THAT(Wanted(kPolicyRulesType), UnorderedElementsAre(kA, kIn));
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1}), RulesResource(kIn, "i1", {kS2})});
  EXPECT_THAT(Wanted(kPeerSetType), UnorderedElementsAre(kS1, kS2));
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {"10.0.0.1"})});
  EXPECT_EQ(replica.rules(), nullptr);
  EXPECT_EQ(replica.ingress_rules(), nullptr);
  Take(kPeerSetType, {PeerSetResource(kS2, "1", {"10.0.0.2"})});
  EXPECT_THAT(replica.rules()->isolating(), ElementsAre(kA));
  EXPECT_THAT(replica.ingress_rules()->isolating(), ElementsAre(kIn));
  EXPECT_TRUE(MayConnect("10.0.0.2", 80));
  EXPECT_FALSE(MayConnect("10.0.0.1", 80));
}

TEST_F(IngressReplica, PeersOfASetThatBothReferToComeAndGoInBoth) {
  TakeHead({kA}, {kIn});
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1}), RulesResource(kIn, "i1", {kS1})});
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {"10.0.0.1"})});
  Take(kPeerSetType, {PeerChangeResource(kS1, "2", "1", {"10.0.0.2"}, {"10.0.0.1"})});
  EXPECT_FALSE(MayConnect("10.0.0.1", 80));
  EXPECT_TRUE(MayConnect("10.0.0.2", 80));
  const SocketAddress now{*IpAddress::Parse("10.0.0.2"), 80};
  EXPECT_TRUE(replica.rules()->Judge(now, Protocol::kTcp).allowed);
  // The one gives the set up, the other keeps it.
  TakeHead({}, {kIn}, {}, "h2");
  EXPECT_THAT(Wanted(kPeerSetType), ElementsAre(kS1));
  Take(kPeerSetType, {PeerChangeResource(kS1, "3", "2", {"10.0.0.3"}, {})});
  EXPECT_TRUE(MayConnect("10.0.0.3", 80));
}

TEST_F(IngressReplica, WhatChangesOfTheOneLeavesTheRulesOfTheOther) {
  TakeHead({kA}, {kIn});
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {}), RulesResource(kIn, "i1", {kS1})});
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {"10.0.0.1"})});
  const auto egress = replica.rules();
  auto ingress = replica.ingress_rules();
  Take(kPeerSetType, {PeerChangeResource(kS1, "2", "1", {"10.0.0.2"}, {})});
  EXPECT_NE(std::exchange(ingress, replica.ingress_rules()), replica.ingress_rules());
  TakeHead({kA}, {}, {}, "h2");
  EXPECT_NE(std::exchange(ingress, replica.ingress_rules()), replica.ingress_rules());
  EXPECT_EQ(replica.rules(), egress);
  TakeHead({}, {}, {}, "h3");
  EXPECT_NE(replica.rules(), egress);
  EXPECT_EQ(replica.ingress_rules(), ingress);
}

TEST_F(IngressReplica, TheOldRulesAreInForceUntilTheNewAreWhole) {
  TakeWhole({"10.0.0.1"});
  Take(kPolicyRulesType, {RulesResource(kIn, "i2", {kS2})});
  EXPECT_TRUE(replica.in_transit());
  EXPECT_TRUE(MayConnect("10.0.0.1", 8080));
  EXPECT_FALSE(MayConnect("10.0.0.2", 8081));
  Take(kPeerSetType, {PeerSetResource(kS2, "1", {"10.0.0.2"})});
  EXPECT_FALSE(MayConnect("10.0.0.1", 8080));
  EXPECT_TRUE(MayConnect("10.0.0.2", 8081));
}

TEST_F(IngressReplica, WithoutThePolicyAnybodyMayConnect) {
  TakeWhole({"10.0.0.1"});
  Take(kEgressPolicyType, {}, {kOwn});
  EXPECT_FALSE(replica.ingress_rules()->isolates());
  EXPECT_TRUE(MayConnect("10.0.0.2", 22));
}

TEST_F(IngressReplica, AnImageHoldsBothWithEachSetOnce) {
  TakeHead({kA}, {kIn}, {{"web", Protocol::kTcp, 80}});
  Take(kPolicyRulesType,
       {RulesResource(kA, "a1", {kS1}), NamedPortRulesResource(kIn, "i1", {kS1, kS2}, "web")});
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {}), PeerSetResource(kS2, "1", {})});
  const PolicyReplica::Image image = replica.image();
  EXPECT_THAT(image.head->value->ingress, ElementsAre(kIn));
  ASSERT_EQ(image.policies.size(), 2u);
  EXPECT_EQ(image.policies[0].name, kA);
  EXPECT_EQ(image.policies[1].name, kIn);
  EXPECT_EQ(image.policies[1].version, "i1");
  // As it came: the port is still a name.
  EXPECT_EQ(image.policies[1].value->rules[0].ports[0].name, "web");
  EXPECT_EQ(image.sets.size(), 2u);
}

TEST(IngressReplicaOff, ASidecarThatDoesNotEnforceItAsksForNoneOfIt) {
  PolicyReplica replica{{kOwn, {}}};
  const auto take = [&](std::string_view type, Resource resource) {
    EXPECT_TRUE(replica.Apply(MakeResponse(type, {std::move(resource)})).ok());
  };
  take(kEgressPolicyType, BothWaysResource(kOwn, "h1", {kA}, {kIn}, {}));
  std::vector<std::string> wanted;
  replica.ForEachWanted(kPolicyRulesType, [&](const std::string& one) { wanted.push_back(one); });
  EXPECT_THAT(wanted, ElementsAre(kA));
  take(kPolicyRulesType, RulesResource(kA, "a1", {}));
  EXPECT_NE(replica.rules(), nullptr);
  EXPECT_EQ(replica.ingress_rules(), nullptr);
  EXPECT_FALSE(replica.in_transit());
}

}  // namespace
}  // namespace portolan::proxy
