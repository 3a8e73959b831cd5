#include "xds/policy/policy_resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/xds/policy/cluster.h"

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

TEST(PolicyResource, IsBoundedWhereAPolicyMultipliesPeersWithPorts) {
  NetworkPolicyRule rule;
  for (int i = 0; i < 200; ++i) {
    rule.peers.push_back(PodsWith({{"app", std::to_string(i)}}));
    rule.ports.push_back(NamedTcp("p" + std::to_string(i)));
  }
  const auto resource = WithRules({rule});
  EXPECT_EQ(resource.peers.size(), kMostSetsOfPolicy);
  for (const RuleInput& one : resource.rules.rules) {
    for (const std::string& set : one.peer_sets) EXPECT_TRUE(resource.peers.contains(set));
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
