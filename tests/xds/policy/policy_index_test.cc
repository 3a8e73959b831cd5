#include "xds/policy/policy_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xds/policy/cluster.h"
#include "xds/policy/pod_policies.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

PeerSelector InNamespace(const std::string& ns, LabelMap pods, const std::string& port = "") {
  return {{ns, {}, Labelled(std::move(pods))}, port, Protocol::kTcp};
}
PeerSelector InNamespacesWith(LabelMap labels) {
  return {{"", Labelled(std::move(labels)), {}}, "", {}};
}

class Policies : public ::testing::Test {
 protected:
  void Commit() {
    for (auto& names : changed_) names.clear();
    index_.Follow(directory_.Commit(), changed_);
  }
  template <typename... T>
  void Put(T... objects) {
    (directory_.Put(objects), ...);
    Commit();
  }
  const std::vector<std::string>& Changed(ResourceType type) {
    return changed_[static_cast<size_t>(type)];
  }
  // A set's addresses as text; "none" where there is no such set.
  std::vector<std::string> Members(const PeerSelector& selector) {
    const PeerSet* set = index_.current()->FindPeers(selector.SetName());
    if (set == nullptr) return {"none"};
    std::vector<std::string> members;
    for (const Peer& peer : set->Members()) {
      members.push_back(peer.port == 0 ? peer.ip.ToString()
                                       : SocketAddress{peer.ip, peer.port}.ToString());
    }
    return members;
  }
  std::vector<std::string> For(const std::string& pod) {
    const auto* names = index_.current()->FindPolicies(pod);
    return names == nullptr ? std::vector<std::string>() : names->egress;
  }
  std::vector<std::string> IngressFor(const std::string& pod) {
    const auto* names = index_.current()->FindPolicies(pod);
    return names == nullptr ? std::vector<std::string>() : names->ingress;
  }
  double Metric(const std::string& name, const std::string& kind = "",
                const std::string& direction = "egress") {
    MetricFamilies families;
    index_.AddMetrics(families);
    for (const auto& family : families) {
      for (const auto& metric : family.metric) {
        if (family.name != name) continue;
        const bool is_it =
            kind.empty() || (metric.label[0].value == kind && metric.label[1].value == direction);
        if (is_it) return metric.gauge.value;
      }
    }
    return -1;
  }

  Directory directory_;
  PolicyIndex index_;
  ChangedResources changed_;
};

const PeerSelector kDb = InNamespace("shop", {{"app", "db"}});

TEST_F(Policies, APodHasThePoliciesThatSelectIt) {
  Put(MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.1"}),
      MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.2"}),
      MakePod("other", "web", {{"app", "web"}}, {"10.0.0.3"}),
      MakePolicy("shop", "b", {{"app", "web"}}, {}), MakePolicy("shop", "a", {}, {}));
  EXPECT_THAT(For("shop/web"), ElementsAre("NetworkPolicy/shop/a", "NetworkPolicy/shop/b"));
  EXPECT_THAT(For("shop/db"), ElementsAre("NetworkPolicy/shop/a"));
  EXPECT_THAT(For("other/web"), IsEmpty());
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy),
              UnorderedElementsAre("shop/web", "shop/db", "other/web"));
  directory_.RemoveNetworkPolicy({"shop", "a"});
  Commit();
  EXPECT_THAT(For("shop/web"), ElementsAre("NetworkPolicy/shop/b"));
  EXPECT_THAT(For("shop/db"), IsEmpty());
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), UnorderedElementsAre("shop/web", "shop/db"));
  EXPECT_THAT(Changed(ResourceType::kPolicyRules), ElementsAre("NetworkPolicy/shop/a"));
}

TEST_F(Policies, ASelectorThatChangesSelectsOthers) {
  Put(MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.1"}),
      MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.2"}),
      MakePolicy("shop", "a", {{"app", "web"}}, {}));
  Put(MakePolicy("shop", "a", {{"app", "db"}}, {}));
  EXPECT_THAT(For("shop/web"), IsEmpty());
  EXPECT_THAT(For("shop/db"), ElementsAre("NetworkPolicy/shop/a"));
}

TEST_F(Policies, RulesThatChangeAreNoChangeForPods) {
  Put(MakePod("shop", "web", {}, {"10.0.0.1"}), MakePolicy("shop", "a", {}, {}));
  Put(MakePolicy("shop", "a", {}, {{{}, {Tcp(80)}}}));
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), IsEmpty());
  EXPECT_THAT(Changed(ResourceType::kPolicyRules), ElementsAre("NetworkPolicy/shop/a"));
  // A policy that comes out the same is no change at all.
  NetworkPolicy same = MakePolicy("shop", "a", {}, {{{}, {Tcp(80)}}});
  same.origin.resource_version = absl::Cord("17");
  Put(same);
  EXPECT_THAT(Changed(ResourceType::kPolicyRules), IsEmpty());
}

TEST_F(Policies, APolicyThatNoLongerSpeaksOfEgressIsNone) {
  Put(MakePod("shop", "web", {}, {"10.0.0.1"}),
      MakePolicy("shop", "a", {}, {{{PodsWith({{"app", "db"}})}, {}}}));
  NetworkPolicy policy = MakePolicy("shop", "a", {}, {});
  policy.for_egress = false;
  Put(policy);
  EXPECT_THAT(For("shop/web"), IsEmpty());
  EXPECT_THAT(Members(kDb), ElementsAre("none"));
  EXPECT_EQ(index_.current()->FindRules("NetworkPolicy/shop/a"), nullptr);
}

TEST_F(Policies, APodThatOnlyIngressSelectsHasNoneOfEgress) {
  Put(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.1"}),
      MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.2"}),
      MakeIngress("shop", "a", {{"app", "db"}}, {{{PodsWith({{"app", "web"}})}, {Tcp(80)}}}));
  EXPECT_THAT(For("shop/db"), IsEmpty());
  EXPECT_THAT(IngressFor("shop/db"), ElementsAre("NetworkPolicy/shop/a/ingress"));
  EXPECT_EQ(index_.current()->FindPolicies("shop/web"), nullptr);
  EXPECT_THAT(Members(InNamespace("shop", {{"app", "web"}})), ElementsAre("10.0.0.2"));
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), UnorderedElementsAre("shop/db", "shop/web"));
  EXPECT_THAT(Changed(ResourceType::kPolicyRules), ElementsAre("NetworkPolicy/shop/a/ingress"));
  directory_.RemoveNetworkPolicy({"shop", "a"});
  Commit();
  EXPECT_EQ(index_.current()->FindPolicies("shop/db"), nullptr);
  EXPECT_EQ(index_.current()->FindRules("NetworkPolicy/shop/a/ingress"), nullptr);
  EXPECT_THAT(Members(InNamespace("shop", {{"app", "web"}})), ElementsAre("none"));
}

TEST_F(Policies, APolicyForBothIsOneOfEachWithTheirPeersShared) {
  NetworkPolicy both = MakePolicy("shop", "ingress", {}, {{{PodsWith({{"app", "db"}})}, {}}});
  both.for_ingress = true;
  both.ingress = both.egress;
  Put(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.1"}), both);
  EXPECT_THAT(For("shop/db"), ElementsAre("NetworkPolicy/shop/ingress"));
  EXPECT_THAT(IngressFor("shop/db"), ElementsAre("NetworkPolicy/shop/ingress/ingress"));
  EXPECT_EQ(index_.current()->peer_set_count(), 1u);
  EXPECT_EQ(index_.current()->rules_count(), 2u);
  // What one of them says no more, the other still does.
  both.for_egress = false;
  Put(both);
  EXPECT_THAT(For("shop/db"), IsEmpty());
  EXPECT_THAT(IngressFor("shop/db"), ElementsAre("NetworkPolicy/shop/ingress/ingress"));
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1"));
}

TEST_F(Policies, APodOnItsHostsNetworkIsSelectedForIngressByNothing) {
  Pod pod = MakePod("shop", "db", {}, {"10.0.0.1"});
  pod.host_network = true;
  Put(pod, MakeIngress("shop", "a", {}, {}));
  EXPECT_EQ(index_.current()->FindPolicies("shop/db"), nullptr);
}

TEST_F(Policies, PortsThatChangeAreServedToPodsWithIngressAlone) {
  const auto with_port = [](const std::string& name, uint16_t port) {
    return WithPorts(MakePod("shop", name, {{"app", name}}, {"10.0.0.1"}),
                     {{"web", Protocol::kTcp, port}});
  };
  Put(with_port("a", 80), with_port("b", 80), MakeIngress("shop", "in", {{"app", "a"}}, {}),
      MakePolicy("shop", "out", {}, {}));
  Put(with_port("a", 81), with_port("b", 81));
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), ElementsAre("shop/a"));
}

TEST_F(Policies, PeersComeAndGo) {
  Put(MakePolicy("shop", "a", {{"app", "web"}}, {{{PodsWith({{"app", "db"}})}, {}}}));
  EXPECT_THAT(Members(kDb), IsEmpty());
  Put(MakePod("shop", "db-0", {{"app", "db"}}, {"10.0.0.1", "fd00::1"}),
      MakePod("other", "db-0", {{"app", "db"}}, {"10.0.0.2"}),
      MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.3"}));
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_THAT(Changed(ResourceType::kPeerSet), ElementsAre(kDb.SetName()));
  Put(MakePod("shop", "web", {{"app", "db"}}, {"10.0.0.3"}));
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1", "10.0.0.3", "fd00::1"));
  directory_.RemovePod({"shop", "db-0"});
  Commit();
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.3"));
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), IsEmpty());
}

TEST_F(Policies, APeerHasAnAddressAndHasNotFinished) {
  Put(MakePolicy("shop", "a", {{"app", "web"}}, {{{PodsWith({{"app", "db"}})}, {}}}));
  Pod pod = MakePod("shop", "db", {{"app", "db"}}, {});
  Put(pod);
  EXPECT_THAT(Members(kDb), IsEmpty());
  pod.ips = {Ip("10.0.0.1")};
  Put(pod);
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1"));
  pod.terminating = true;
  Put(pod);
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1"));
  EXPECT_THAT(Changed(ResourceType::kPeerSet), IsEmpty());
  pod.finished = true;
  Put(pod);
  EXPECT_THAT(Members(kDb), IsEmpty());
}

TEST_F(Policies, PodsOnTheirHostsNetworkAreSelectedByNothing) {
  Pod pod = MakePod("shop", "agent", {{"app", "db"}}, {"192.0.2.1"});
  pod.host_network = true;
  Put(pod, MakePolicy("shop", "a", {}, {{{PodsWith({{"app", "db"}}), NamespacesWith({})}, {}}}));
  EXPECT_THAT(Members(kDb), IsEmpty());
  EXPECT_THAT(Members(InNamespacesWith({})), IsEmpty());
  EXPECT_THAT(For("shop/agent"), IsEmpty());
}

TEST_F(Policies, ANamedPortIsThatOfEachPeerWithTheProtocol) {
  Put(MakePolicy("shop", "a", {{"app", "web"}},
                 {{{PodsWith({{"app", "db"}})}, {NamedTcp("sql")}}, {{}, {NamedTcp("sql")}}}),
      WithPorts(MakePod("shop", "db-0", {{"app", "db"}}, {"10.0.0.1"}),
                {{"sql", Protocol::kTcp, 5432}}),
      WithPorts(MakePod("shop", "db-1", {{"app", "db"}}, {"10.0.0.2"}),
                {{"sql", Protocol::kTcp, 3306}, {"sql", Protocol::kTcp, 3307}}),
      WithPorts(MakePod("shop", "db-2", {{"app", "db"}}, {"10.0.0.3"}),
                {{"sql", Protocol::kUdp, 5432}}),
      WithPorts(MakePod("far", "x", {}, {"10.0.0.4"}), {{"sql", Protocol::kTcp, 1}}));
  EXPECT_THAT(Members(InNamespace("shop", {{"app", "db"}}, "sql")),
              ElementsAre("10.0.0.1:5432", "10.0.0.2:3306"));
  PeerSelector anybody;
  anybody.port_name = "sql";
  EXPECT_THAT(Members(anybody), ElementsAre("10.0.0.1:5432", "10.0.0.2:3306", "10.0.0.4:1"));
  Put(WithPorts(MakePod("shop", "db-0", {{"app", "db"}}, {"10.0.0.1"}),
                {{"sql", Protocol::kTcp, 5433}}));
  EXPECT_THAT(Members(InNamespace("shop", {{"app", "db"}}, "sql")),
              ElementsAre("10.0.0.1:5433", "10.0.0.2:3306"));
}

TEST_F(Policies, ANamespacesLabelsBringItsPodsAndTakeThem) {
  DnsEgressPolicy cluster = MakeDnsPolicy("", "apis", {}, {"api.example.com"});
  cluster.kind = DnsEgressPolicy::Kind::kClusterNetworkPolicy;
  cluster.namespaces = Labelled({{"team", "a"}});
  Put(MakePolicy("shop", "a", {{"app", "web"}}, {{{NamespacesWith({{"team", "a"}})}, {}}}), cluster,
      MakePod("x", "pod", {}, {"10.0.0.1"}), MakePod("y", "pod", {}, {"10.0.0.2"}),
      MakeNamespace("x", {{"team", "a"}}), MakeNamespace("y", {{"team", "b"}}));
  EXPECT_THAT(Members(InNamespacesWith({{"team", "a"}})), ElementsAre("10.0.0.1"));
  EXPECT_THAT(For("x/pod"), ElementsAre("ClusterNetworkPolicy/apis"));
  Put(MakeNamespace("x", {{"team", "b"}}), MakeNamespace("y", {{"team", "a"}}));
  EXPECT_THAT(Members(InNamespacesWith({{"team", "a"}})), ElementsAre("10.0.0.2"));
  EXPECT_THAT(For("x/pod"), IsEmpty());
  EXPECT_THAT(For("y/pod"), ElementsAre("ClusterNetworkPolicy/apis"));
  directory_.RemoveNamespace("y");
  Commit();
  EXPECT_THAT(Members(InNamespacesWith({{"team", "a"}})), IsEmpty());
  EXPECT_THAT(For("y/pod"), IsEmpty());
}

TEST_F(Policies, ANamespaceHasTheLabelOfItsNameBeItWrittenDownOrNot) {
  const LabelMap named = {{"kubernetes.io/metadata.name", "x"}};
  Put(MakePolicy("shop", "a", {}, {{{NamespacesWith(named)}, {}}}),
      MakePod("x", "pod", {}, {"10.0.0.1"}), MakePod("y", "pod", {}, {"10.0.0.2"}));
  EXPECT_THAT(Members(InNamespacesWith(named)), ElementsAre("10.0.0.1"));
  Put(MakeNamespace("x", {{"team", "a"}}));
  EXPECT_THAT(Members(InNamespacesWith(named)), ElementsAre("10.0.0.1"));
}

TEST_F(Policies, ASetIsSharedAndStaysAsLongAsAPolicyRefersToIt) {
  const std::vector<NetworkPolicyRule> rules = {{{PodsWith({{"app", "db"}})}, {}}};
  Put(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.1"}),
      MakePolicy("shop", "a", {{"app", "web"}}, rules),
      MakePolicy("shop", "b", {{"app", "api"}}, rules));
  EXPECT_EQ(index_.current()->peer_set_count(), 1u);
  // One policy goes and one comes: the set is the same all the time.
  directory_.RemoveNetworkPolicy({"shop", "a"});
  directory_.RemoveNetworkPolicy({"shop", "b"});
  Put(MakePolicy("shop", "c", {}, rules));
  EXPECT_THAT(Changed(ResourceType::kPeerSet), IsEmpty());
  EXPECT_THAT(Members(kDb), ElementsAre("10.0.0.1"));
  directory_.RemoveNetworkPolicy({"shop", "c"});
  Commit();
  EXPECT_THAT(Changed(ResourceType::kPeerSet), ElementsAre(kDb.SetName()));
  EXPECT_THAT(Members(kDb), ElementsAre("none"));
}

TEST_F(Policies, WhatDoesNotConcernThemIsNoChange) {
  Put(MakePod("shop", "web", {{"app", "db"}}, {"10.0.0.1"}),
      MakePolicy("shop", "a", {}, {{{PodsWith({{"app", "db"}})}, {}}}));
  Pod pod = MakePod("shop", "web", {{"app", "db"}}, {"10.0.0.1"});
  pod.origin.resource_version = absl::Cord("2");
  Put(pod, MakeNamespace("shop", {{"team", "a"}}));
  for (const ResourceType type :
       {ResourceType::kPeerSet, ResourceType::kPolicyRules, ResourceType::kEgressPolicy}) {
    EXPECT_THAT(Changed(type), IsEmpty());
  }
}

TEST_F(Policies, APodsNodeAndItsAddressesChangeThePodsPolicyOnlyWhereItHasOne) {
  Node node;
  node.name = "n1";
  node.internal_ips = {Ip("192.0.2.1")};
  Pod web = MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.1"});
  Pod free = MakePod("other", "free", {}, {"10.0.0.2"});
  web.node_name = free.node_name = "n1";
  Put(node, web, free, MakePolicy("shop", "a", {}, {}));
  node.internal_ips.push_back(Ip("fd00::1"));
  Put(node);
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), ElementsAre("shop/web"));
  node.zone = "z";
  Put(node);
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), IsEmpty());
  web.node_name = "n2";
  Put(web);
  EXPECT_THAT(Changed(ResourceType::kEgressPolicy), ElementsAre("shop/web"));
}

TEST_F(Policies, PodsWithTheSamePoliciesShareTheList) {
  Put(MakePod("shop", "web-1", {{"app", "web"}, {"n", "1"}}, {"10.0.0.1"}),
      MakePod("shop", "web-2", {{"app", "web"}, {"n", "2"}}, {"10.0.0.2"}),
      MakePolicy("shop", "a", {{"app", "web"}}, {}));
  EXPECT_EQ(index_.current()->FindPolicies("shop/web-1"),
            index_.current()->FindPolicies("shop/web-2"));
}

TEST_F(Policies, AnEarlierSnapshotStaysAsItWas) {
  Put(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.1"}),
      MakePolicy("shop", "a", {}, {{{PodsWith({{"app", "db"}})}, {}}}));
  const auto before = index_.current();
  directory_.RemoveNetworkPolicy({"shop", "a"});
  directory_.RemovePod({"shop", "db"});
  Commit();
  EXPECT_EQ(before->FindPeers(kDb.SetName())->size(), 1u);
  EXPECT_NE(before->FindPolicies("shop/db"), nullptr);
  EXPECT_NE(before->FindRules("NetworkPolicy/shop/a"), nullptr);
}

TEST_F(Policies, AreCounted) {
  EXPECT_EQ(Metric("portolan_control_policies", "NetworkPolicy"), 0);
  Put(MakePod("shop", "web", {}, {"10.0.0.1"}), MakePod("other", "web", {}, {"10.0.0.2"}),
      MakePolicy("shop", "a", {}, {{{PodsWith({}), NamespacesWith({})}, {}}}),
      MakePolicy("shop", "b", {}, {}), MakeIngress("shop", "d", {}, {}),
      MakeDnsPolicy("shop", "c", {}, {"example.com"}));
  EXPECT_EQ(Metric("portolan_control_policies", "NetworkPolicy"), 2);
  EXPECT_EQ(Metric("portolan_control_policies", "NetworkPolicy", "ingress"), 1);
  EXPECT_EQ(Metric("portolan_control_policies", "DNSEgressPolicy"), 1);
  EXPECT_EQ(Metric("portolan_control_policies", "AdminNetworkPolicy"), 0);
  EXPECT_EQ(Metric("portolan_control_peer_sets"), 2);
  EXPECT_EQ(Metric("portolan_control_selected_pods"), 1);
}

TEST(PoliciesOf, AreWhatThePodIsServed) {
  Directory directory;
  Node node;
  node.name = "n1";
  node.internal_ips = {Ip("192.0.2.1")};
  directory.Put(node);
  directory.Put(MakeNamespace("shop", {{"team", "a"}}));
  directory.Put(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.1"}));
  directory.Put(MakePolicy("shop", "a", {{"app", "web"}}, {{{PodsWith({{"app", "db"}})}, {}}}));
  directory.Put(MakePolicy("shop", "none", {{"app", "db"}}, {{{PodsWith({})}, {}}}));
  directory.Put(MakeIngress("shop", "in", {{"app", "web"}}, {{{PodsWith({{"app", "x"}})}, {}}}));
  DnsEgressPolicy cluster = MakeDnsPolicy("", "apis", {}, {"api.example.com"});
  cluster.kind = DnsEgressPolicy::Kind::kAdminNetworkPolicy;
  cluster.namespaces = Labelled({{"team", "a"}});
  directory.Put(cluster);
  Pod web = MakePod("shop", "web-9", {{"app", "web"}}, {});
  web.node_name = "n1";
  directory.Put(web);
  web.name.name = "web-of-host";
  web.host_network = true;
  directory.Put(web);
  directory.Put(MakePod("shop", "x", {{"app", "x"}}, {"10.0.0.3"}));
  directory.Put(MakePod("shop2", "web", {{"app", "web"}}, {"10.0.0.4"}));
  const auto snapshot = directory.Commit().snapshot;
  const auto policies = PoliciesOf(snapshot);
  const auto pod = [&](const char* key) { return *snapshot->FindPod(key); };
  const PodPolicies egress = EgressPoliciesOf(*snapshot, *policies, pod("shop/web-9"));
  ASSERT_EQ(egress.policies.size(), 2u);
  EXPECT_EQ(egress.policies[0].name, "AdminNetworkPolicy/apis");
  EXPECT_EQ(egress.policies[1].name, "NetworkPolicy/shop/a");
  ASSERT_EQ(egress.peers.size(), 1u);
  EXPECT_THAT(egress.peers.at(egress.policies[1].rules[0].peer_sets[0]),
              ElementsAre(Peer{Ip("10.0.0.1"), 0}));
  EXPECT_EQ(egress.node_addresses, node.internal_ips);

  // Of who may connect to it, whoever asks counts alone.
  PodPolicies ingress = IngressPoliciesOf(*snapshot, *policies, pod("shop/web-9"), Ip("10.0.0.3"));
  ASSERT_EQ(ingress.policies.size(), 1u);
  EXPECT_EQ(ingress.policies[0].name, "NetworkPolicy/shop/in/ingress");
  const std::string set = ingress.policies[0].rules[0].peer_sets[0];
  EXPECT_THAT(ingress.peers.at(set), ElementsAre(Peer{Ip("10.0.0.3"), 0}));
  ingress = IngressPoliciesOf(*snapshot, *policies, pod("shop/web-9"), Ip("10.0.0.1"));
  EXPECT_THAT(ingress.peers.at(set), IsEmpty());

  for (const char* free : {"shop2/web", "shop/web-of-host"}) {
    EXPECT_THAT(EgressPoliciesOf(*snapshot, *policies, pod(free)).policies, IsEmpty()) << free;
  }
}

}  // namespace
}  // namespace portolan::xds
