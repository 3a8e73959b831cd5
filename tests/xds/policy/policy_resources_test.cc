#include "xds/policy/policy_resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/xds/api/samples.h"
#include "tests/xds/policy/cluster.h"
#include "xds/api/grpc_process.h"
#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What the sets of a rule stand for.
std::set<std::string> Described(const PolicyResource& policy, const RuleInput& rule) {
  std::set<std::string> texts;
  for (const std::string& set : rule.peer_sets) texts.insert(policy.peers.at(set).Describe());
  return texts;
}

PolicyResource WithRules(std::vector<NetworkPolicyRule> egress) {
  return *ResourceOf(MakePolicy("shop", "p", {{"app", "web"}}, std::move(egress)));
}

TEST(PolicyResource, OfAPolicyForEgressIsolatesWhatItSelects) {
  NetworkPolicy policy = MakePolicy("shop", "deny", {{"app", "web"}}, {});
  const auto resource = ResourceOf(policy);
  EXPECT_EQ(resource->rules.name, "NetworkPolicy/shop/deny");
  EXPECT_TRUE(resource->rules.isolates);
  EXPECT_FALSE(resource->rules.isolates_names);
  EXPECT_FALSE(resource->rules.audit);
  EXPECT_THAT(resource->rules.rules, IsEmpty());
  EXPECT_EQ(resource->pods.ns, "shop");
  EXPECT_EQ(ToText(resource->pods.pods), "app=web");
  policy.audit = true;
  EXPECT_TRUE(ResourceOf(policy)->rules.audit);
}

TEST(PolicyResource, ThereIsNoneOfAPolicyForIngressAlone) {
  NetworkPolicy policy = MakePolicy("shop", "in", {}, {});
  policy.for_egress = false;
  EXPECT_FALSE(ResourceOf(policy).has_value());
}

TEST(PolicyResource, OfIngressIsolatesAsThatOfEgressDoes) {
  NetworkPolicy policy = MakeIngress("shop", "db", {{"app", "db"}}, {});
  const auto resource = IngressResourceOf(policy);
  EXPECT_EQ(resource->rules.name, "NetworkPolicy/shop/db/ingress");
  EXPECT_TRUE(resource->rules.isolates);
  EXPECT_FALSE(resource->rules.isolates_names);
  EXPECT_FALSE(resource->rules.audit);
  EXPECT_THAT(resource->rules.rules, IsEmpty());
  EXPECT_EQ(resource->pods.ns, "shop");
  EXPECT_EQ(ToText(resource->pods.pods), "app=db");
  policy.audit = true;
  EXPECT_TRUE(IngressResourceOf(policy)->rules.audit);
  policy.for_ingress = false;
  EXPECT_FALSE(IngressResourceOf(policy).has_value());
}

TEST(PolicyResource, OfIngressHasWhoConnectsAsPeersAndItsOwnPortsByNameToo) {
  const auto resource = IngressResourceOf(
      MakeIngress("shop", "db", {},
                  {{{PodsWith({{"app", "web"}}), Block("10.0.0.0/8")}, {NamedTcp("sql"), Tcp(80)}},
                   {{}, {NamedTcp("web")}},
                   {{}, {}}}));
  ASSERT_THAT(resource->rules.rules, SizeIs(3));
  const RuleInput& first = resource->rules.rules[0];
  EXPECT_THAT(Described(*resource, first), ElementsAre("pods with app=web in namespace shop"));
  EXPECT_THAT(first.blocks, SizeIs(1));
  EXPECT_THAT(first.ports, ElementsAre(PortInput{Protocol::kTcp, 0, 0, "sql"},
                                       PortInput{Protocol::kTcp, 80, 0}));
  const RuleInput& second = resource->rules.rules[1];
  EXPECT_EQ(second.index, 1u);
  EXPECT_TRUE(second.any_peer);
  EXPECT_THAT(second.ports, ElementsAre(PortInput{Protocol::kTcp, 0, 0, "web"}));
  EXPECT_TRUE(resource->rules.rules[2].any_peer);
  EXPECT_THAT(resource->rules.rules[2].ports, IsEmpty());
}

TEST(PolicyResource, IsFoundByTheNameOfItsDirection) {
  Directory directory;
  NetworkPolicy both = MakePolicy("shop", "ingress", {}, {});
  both.for_ingress = true;
  directory.Put(both);
  directory.Put(MakeIngress("shop", "in", {}, {}));
  const Snapshot& snapshot = *directory.Commit().snapshot;
  for (const char* name : {"NetworkPolicy/shop/ingress", "NetworkPolicy/shop/ingress/ingress",
                           "NetworkPolicy/shop/in/ingress"}) {
    const auto found = FindPolicyResource(snapshot, name);
    ASSERT_TRUE(found.has_value()) << name;
    EXPECT_EQ(found->rules.name, name);
  }
  EXPECT_FALSE(FindPolicyResource(snapshot, "NetworkPolicy/shop/in").has_value());
  EXPECT_FALSE(IsForIngress("NetworkPolicy/shop/ingress"));
  EXPECT_TRUE(IsForIngress("NetworkPolicy/shop/ingress/ingress"));
}

TEST(PolicyResource, WithoutPeersItIsAnybodyAndWithoutPortsAny) {
  const auto resource = WithRules({{{}, {}}, {{}, {Tcp(80)}}});
  ASSERT_THAT(resource.rules.rules, SizeIs(2));
  EXPECT_TRUE(resource.rules.rules[0].any_peer);
  EXPECT_THAT(resource.rules.rules[0].ports, IsEmpty());
  EXPECT_EQ(resource.rules.rules[1].index, 1u);
  EXPECT_THAT(resource.rules.rules[1].ports, ElementsAre(PortInput{Protocol::kTcp, 80, 0}));
}

TEST(PolicyResource, PeersArePodsOfTheNamespaceOfNamespacesOfBothOrABlock) {
  const auto resource =
      WithRules({{{PodsWith({{"app", "db"}}), NamespacesWith({{"team", "a"}}),
                   PodsIn({{"app", "db"}}, {}), PodsWith({}), PodsWith({}), Block("10.0.0.0/8")},
                  {{Protocol::kUdp, 1000, 2000, {}}, {Protocol::kTcp, 0, 0, {}}}}});
  ASSERT_THAT(resource.rules.rules, SizeIs(1));
  const RuleInput& rule = resource.rules.rules[0];
  EXPECT_FALSE(rule.any_peer);
  EXPECT_THAT(
      Described(resource, rule),
      ElementsAre("all pods in namespace shop", "all pods in namespaces with team=a",
                  "pods with app=db in all namespaces", "pods with app=db in namespace shop"));
  EXPECT_THAT(rule.peer_sets, SizeIs(4));
  EXPECT_THAT(rule.blocks, SizeIs(1));
  EXPECT_THAT(rule.ports,
              ElementsAre(PortInput{Protocol::kUdp, 1000, 2000}, PortInput{Protocol::kTcp, 0, 0}));
}

TEST(PolicyResource, ANamedPortIsThatOfEachPeerAndOfNoBlock) {
  const auto resource =
      WithRules({{{PodsWith({{"app", "db"}}), Block("10.0.0.0/8")}, {Tcp(80), NamedTcp("sql")}},
                 {{Block("10.0.0.0/8")}, {NamedTcp("sql")}}});
  ASSERT_THAT(resource.rules.rules, SizeIs(2));
  const RuleInput& number = resource.rules.rules[0];
  EXPECT_THAT(number.ports, ElementsAre(PortInput{Protocol::kTcp, 80, 0}));
  EXPECT_THAT(Described(resource, number), ElementsAre("pods with app=db in namespace shop"));
  EXPECT_THAT(number.blocks, SizeIs(1));
  const RuleInput& name = resource.rules.rules[1];
  EXPECT_EQ(name.index, 0u);
  EXPECT_THAT(name.ports, ElementsAre(PortInput{Protocol::kTcp, 0, 0}));
  EXPECT_THAT(Described(resource, name),
              ElementsAre("pods with app=db in namespace shop, at their TCP port sql"));
  EXPECT_THAT(name.blocks, IsEmpty());
}

TEST(PolicyResource, ANamedPortOfAnybodyIsThatOfEveryPod) {
  const auto resource = WithRules({{{}, {NamedTcp("sql")}}});
  ASSERT_THAT(resource.rules.rules, SizeIs(1));
  EXPECT_FALSE(resource.rules.rules[0].any_peer);
  EXPECT_THAT(Described(resource, resource.rules.rules[0]),
              ElementsAre("all pods in all namespaces, at their TCP port sql"));
}

TEST(PolicyResource, OfNamesHoldsThemWithTheirPorts) {
  DnsEgressPolicy policy = MakeDnsPolicy("shop", "apis", {}, {"api.example.com"});
  policy.rules[0].names.push_back({"example.org", true});
  policy.rules[0].ports = {Tcp(443)};
  policy.rules[0].index = 3;
  PolicyResource resource = ResourceOf(policy);
  EXPECT_EQ(resource.rules.name, "DNSEgressPolicy/shop/apis");
  EXPECT_FALSE(resource.rules.isolates);
  ASSERT_THAT(resource.rules.rules, SizeIs(1));
  EXPECT_EQ(resource.rules.rules[0].index, 3u);
  EXPECT_EQ(resource.rules.rules[0].names, policy.rules[0].names);
  EXPECT_THAT(resource.rules.rules[0].ports, ElementsAre(PortInput{Protocol::kTcp, 443, 0}));
  policy.default_deny = true;
  resource = ResourceOf(policy);
  EXPECT_TRUE(resource.rules.isolates);
  EXPECT_TRUE(resource.rules.isolates_names);
}

TEST(PolicyResource, OfAClusterWidePolicyIsForPodsOfNamespacesWithLabels) {
  DnsEgressPolicy policy = MakeDnsPolicy("", "apis", {{"app", "web"}}, {"api.example.com"});
  policy.kind = DnsEgressPolicy::Kind::kClusterNetworkPolicy;
  policy.namespaces = Labelled({{"team", "a"}});
  const PolicyResource resource = ResourceOf(policy);
  EXPECT_EQ(resource.rules.name, "ClusterNetworkPolicy/apis");
  EXPECT_EQ(resource.pods.ns, "");
  EXPECT_TRUE(resource.pods.InScope("shop", {{"team", "a"}}));
  EXPECT_FALSE(resource.pods.InScope("shop", {}));
}

NetworkPolicyPeer Numbered(size_t i) { return PodsWith({{"app", std::to_string(i)}}); }

// So many peers, each at so many named ports.
NetworkPolicyRule Multiplied(size_t peers, size_t ports) {
  NetworkPolicyRule rule;
  for (size_t i = 0; i < peers; ++i) rule.peers.push_back(Numbered(i));
  for (size_t i = 0; i < ports; ++i) rule.ports.push_back(NamedTcp("p" + std::to_string(i)));
  return rule;
}

NetworkPolicyPeer BlockWithHoles(size_t holes) {
  NetworkPolicyPeer peer = Block("10.0.0.0/8");
  peer.block->except.assign(holes, *Cidr::Parse("10.1.0.0/16"));
  return peer;
}

// What sidecars make of its rules; an error where they refuse them.
absl::StatusOr<PolicyInput> Received(const PolicyResource& policy) {
  return api::ParsePolicyRules(
      api::MakeResource(policy.rules.name, "1", api::ToProto(policy.rules)));
}

size_t References(const PolicyResource& policy) {
  size_t count = 0;
  for (const RuleInput& rule : policy.rules.rules) count += rule.peer_sets.size();
  return count;
}

TEST(PolicyResource, IsBoundedWhereAPolicyMultipliesPeersWithPorts) {
  const auto resource = WithRules({Multiplied(200, 200)});
  EXPECT_EQ(resource.peers.size(), kMostSetsOfPolicy);
  for (const RuleInput& one : resource.rules.rules) {
    for (const std::string& set : one.peer_sets) EXPECT_TRUE(resource.peers.contains(set));
  }
  EXPECT_TRUE(Received(resource).ok());
}

// The API server takes both as often as an object has room for them. Not done with in minutes, nor
// in the memory of a replica, where each peer is looked at for each port.
TEST(PolicyResource, RepeatedPeersAndNamedPortsCountOnce) {
  NetworkPolicyRule rule;
  rule.peers.assign(30'000, NamespacesWith({}));
  rule.ports.assign(55'000, NamedTcp("a"));
  rule.ports.push_back({Protocol::kUdp, 0, 0, "a"});
  const auto resource = WithRules({rule});
  ASSERT_THAT(resource.rules.rules, SizeIs(2));
  EXPECT_THAT(Described(resource, resource.rules.rules[0]),
              ElementsAre("all pods in all namespaces, at their TCP port a"));
  EXPECT_THAT(Described(resource, resource.rules.rules[1]),
              ElementsAre("all pods in all namespaces, at their UDP port a"));
}

TEST(PolicyResource, ManyPeersAtManyNamedPortsAreLeftOutUnseen) {
  const auto resource = WithRules({Multiplied(30'000, 30'000)});
  EXPECT_EQ(resource.peers.size(), kMostSetsOfPolicy);
  EXPECT_EQ(References(resource), kMostSetsOfPolicy);
  EXPECT_TRUE(Received(resource).ok());
}

TEST(PolicyResource, AllOfItsSetsMayBeReferredToAgain) {
  const NetworkPolicyRule rule = Multiplied(kMostSetsOfPolicy / 10, 10);
  const auto resource = WithRules({rule, rule});
  EXPECT_EQ(resource.peers.size(), kMostSetsOfPolicy);
  EXPECT_EQ(References(resource), 2 * kMostSetsOfPolicy);
}

// Each may have all pods of the cluster.
TEST(PolicyResource, HasAThousandSetsAtMost) {
  for (const size_t peers : {1'000u, 1'001u}) {
    EXPECT_THAT(WithRules({{Multiplied(peers, 0).peers, {}}}).peers, SizeIs(1'000));
  }
}

TEST(PolicyResource, RefersToNoMoreSetsThanAReaderTakes) {
  const NetworkPolicyRule rule = Multiplied(kMostSetsOfPolicy / 10, 10);
  const size_t most = api::kMaxPartsOfPolicy / kMostSetsOfPolicy;
  for (const size_t rules : {most, most + 1}) {
    const auto resource = WithRules(std::vector(rules, rule));
    EXPECT_EQ(References(resource), api::kMaxPartsOfPolicy);
    EXPECT_TRUE(Received(resource).ok());
  }
}

// An object of 1.3 MB: one policy may be all that a response holds.
TEST(PolicyResource, OfAsMuchAsAnObjectHoldsIsSmallerThanAResponse) {
  const NetworkPolicyRule rule = Multiplied(kMostSetsOfPolicy / 10, 10);
  std::vector rules(api::kMaxPartsOfPolicy / kMostSetsOfPolicy, rule);
  rules.push_back({std::vector(30'000, Block("1::/16")), {}});
  EXPECT_LT(api::ToProto(WithRules(rules).rules).ByteSizeLong(), api::kMaxResponseBytes / 2);
}

TEST(PolicyResource, ALargeSelectorIsNotCopiedForEveryNamedPort) {
  NetworkPolicyRule rule = Multiplied(0, 500);
  rule.peers = {Numbered(0)};
  // Its text has it once.
  rule.peers[0].pods->match_expressions = {
      {"app", LabelRequirement::Operator::kNotIn, std::vector<std::string>(100'000, "a")}};
  const auto resource = WithRules({rule});
  EXPECT_GT(resource.peers.size(), 1u);
  EXPECT_LE(resource.peers.size(), kMostSelectorBytesOfPolicy / 100'000 / sizeof(std::string));
}

TEST(PolicyResource, HasNoMoreRulesThanAReaderTakes) {
  const size_t most = api::kMaxRulesOfPolicy;
  for (const size_t rules : {most, most + 1}) {
    const auto resource = WithRules(std::vector<NetworkPolicyRule>(rules));
    EXPECT_EQ(resource.rules.rules.size(), most);
    EXPECT_TRUE(Received(resource).ok());
  }
}

TEST(PolicyResource, HasNoMoreBlocksThanAReaderTakes) {
  const size_t most = api::kMaxPartsOfPolicy;
  for (const size_t blocks : {most, most + 1}) {
    const auto resource = WithRules({{std::vector(blocks, Block("10.0.0.0/8")), {}}});
    EXPECT_EQ(resource.rules.rules[0].blocks.size(), most);
    EXPECT_TRUE(Received(resource).ok());
  }
}

TEST(PolicyResource, ABlockWithoutRoomForAllItsHolesIsLeftOut) {
  const size_t half = api::kMaxPartsOfPolicy / 2;
  const auto resource =
      WithRules({{{BlockWithHoles(half), BlockWithHoles(half + 1)}, {}},
                 {{BlockWithHoles(half + 1)}, {}},
                 {{BlockWithHoles(half), BlockWithHoles(1), BlockWithHoles(0)}, {}}});
  ASSERT_THAT(resource.rules.rules, SizeIs(2));
  ASSERT_THAT(resource.rules.rules[0].blocks, SizeIs(1));
  EXPECT_THAT(resource.rules.rules[0].blocks[0].except, SizeIs(half));
  const RuleInput& last = resource.rules.rules[1];
  EXPECT_EQ(last.index, 2u);
  ASSERT_THAT(last.blocks, SizeIs(2));
  EXPECT_THAT(last.blocks[0].except, SizeIs(half));
  EXPECT_THAT(last.blocks[1].except, IsEmpty());
  EXPECT_TRUE(Received(resource).ok());
}

TEST(PolicyResource, ARuleWhosePortsHaveNoRoomIsLeftOutAndNotAtEveryPort) {
  const size_t most = api::kMaxPartsOfPolicy;
  const std::vector<NetworkPolicyRule> rules = {{{}, std::vector(most - 1, Tcp(80))},
                                                {{}, {Tcp(81), Tcp(82)}},
                                                {{}, {Tcp(83)}},
                                                {{Block("10.0.0.0/8")}, {}}};
  for (const auto& resource :
       {WithRules(rules), *IngressResourceOf(MakeIngress("shop", "p", {}, rules))}) {
    ASSERT_THAT(resource.rules.rules, SizeIs(3));
    EXPECT_THAT(resource.rules.rules[1].ports, ElementsAre(PortInput{Protocol::kTcp, 81, 0}));
    EXPECT_EQ(resource.rules.rules[2].index, 3u);
    EXPECT_TRUE(Received(resource).ok());
  }
}

TEST(PolicyResource, HasNoMoreNamesThanAReaderTakes) {
  DnsEgressPolicy policy = MakeDnsPolicy("shop", "apis", {}, {});
  const size_t most = api::kMaxPartsOfPolicy;
  for (const size_t names : {most, most + 1}) {
    policy.rules[0].names.assign(names, {"example.com", false});
    const PolicyResource resource = ResourceOf(policy);
    EXPECT_EQ(resource.rules.rules[0].names.size(), most);
    EXPECT_TRUE(Received(resource).ok());
  }
}

TEST(PolicyResource, IsFoundByTheNameOfItsRules) {
  Directory directory;
  directory.Put(MakePolicy("shop", "p", {}, {}));
  directory.Put(MakeDnsPolicy("shop", "p", {}, {"example.com"}));
  const auto snapshot = directory.Commit().snapshot;
  for (const char* name : {"NetworkPolicy/shop/p", "DNSEgressPolicy/shop/p"}) {
    const auto found = FindPolicyResource(*snapshot, name);
    ASSERT_TRUE(found.has_value()) << name;
    EXPECT_EQ(found->rules.name, name);
  }
  for (const char* name : {"NetworkPolicy/shop/q", "DNSEgressPolicy/shop/q", "shop/p", ""}) {
    EXPECT_FALSE(FindPolicyResource(*snapshot, name).has_value()) << name;
  }
}

}  // namespace
}  // namespace portolan::xds
