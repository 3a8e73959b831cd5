// The index, after any sequence of commits, against all worked out anew from the snapshot by the
// plainest means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/xds/policy/cluster.h"
#include "xds/api/policy_codec.h"
#include "xds/policy/policy_index.h"

namespace portolan::xds {
namespace {

using Operator = LabelRequirement::Operator;

// What it all comes to: members of sets, policies of pods.
struct Outcome {
  std::map<std::string, std::set<Peer>> sets;
  std::map<std::string, PolicyNames> pods;
  std::set<std::string> policies;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

bool PlainlyMatches(const ObjectSelector& selector, const LabelMap& list) {
  const std::map<std::string, std::string> labels(list.begin(), list.end());
  for (const auto& [key, value] : selector.match_labels) {
    if (!labels.contains(key) || labels.at(key) != value) return false;
  }
  for (const LabelRequirement& one : selector.match_expressions) {
    const std::set<std::string> values(one.values.begin(), one.values.end());
    const bool there = labels.contains(one.key);
    if (one.op == Operator::kExists && !there) return false;
    if (one.op == Operator::kDoesNotExist && there) return false;
    if (one.op == Operator::kIn && !(there && values.contains(labels.at(one.key)))) return false;
    if (one.op == Operator::kNotIn && there && values.contains(labels.at(one.key))) return false;
  }
  return true;
}

class Reference {
 public:
  explicit Reference(const Snapshot& snapshot) : snapshot_(snapshot) {
    snapshot.ForEachNetworkPolicy([&](const NetworkPolicy& policy) {
      if (policy.for_egress) Add(*ResourceOf(policy), &PolicyNames::egress);
      if (policy.for_ingress) Add(*IngressResourceOf(policy), &PolicyNames::ingress);
    });
    snapshot.ForEachDnsEgressPolicy(
        [&](const DnsEgressPolicy& policy) { Add(ResourceOf(policy), &PolicyNames::egress); });
    for (auto& [pod, names] : outcome.pods) {
      std::sort(names.egress.begin(), names.egress.end());
      std::sort(names.ingress.begin(), names.ingress.end());
    }
  }

  Outcome outcome;

 private:
  bool Selects(const PodSelector& selector, const Pod& pod) const {
    if (pod.host_network || !PlainlyMatches(selector.pods, pod.labels)) return false;
    if (!selector.ns.empty()) return selector.ns == pod.name.ns;
    LabelMap labels = {{"kubernetes.io/metadata.name", pod.name.ns}};
    if (const Namespace* ns = snapshot_.FindNamespace(pod.name.ns)) {
      labels.insert(labels.end(), ns->labels.begin(), ns->labels.end());
    }
    return PlainlyMatches(selector.namespaces, labels);
  }

  void Add(const PolicyResource& policy, std::vector<std::string> PolicyNames::*direction) {
    outcome.policies.insert(policy.rules.name);
    snapshot_.ForEachPod([&](const Pod& pod) {
      if (!Selects(policy.pods, pod)) return;
      (outcome.pods[pod.name.ToString()].*direction).push_back(policy.rules.name);
    });
    for (const auto& entry : policy.peers) {
      const auto& peers = entry.second;
      std::set<Peer>& members = outcome.sets[entry.first];
      snapshot_.ForEachPod([&](const Pod& pod) {
        if (pod.finished || !Selects(peers.of, pod)) return;
        for (const IpAddress& ip : pod.ips) {
          if (peers.port_name.empty()) members.insert({ip, 0});
          if (peers.port_name.empty()) continue;
          for (const ContainerPort& port : *pod.named_ports) {
            if (port.name != peers.port_name || port.protocol != peers.protocol) continue;
            members.insert({ip, port.port});
            break;
          }
        }
      });
    }
  }

  const Snapshot& snapshot_;
};

// A small cluster in which everything meets everything: few names, labels and addresses.
class RandomCluster {
 public:
  explicit RandomCluster(unsigned seed) : random_(seed) {}

  void Change(Directory& directory) {
    switch (Below(10)) {
      case 0:
        return directory.Put(MakeNamespace(NamespaceName(), Labels()));
      case 1:
        if (Below(3) == 0) directory.RemoveNamespace(NamespaceName());
        return;
      case 2:
      case 3:
        return directory.Put(Policy());
      case 4:
        return directory.RemoveNetworkPolicy({NamespaceName(), PolicyName()});
      case 5:
        return directory.Put(DnsPolicy());
      case 6:
        return directory.RemoveDnsEgressPolicy(DnsPolicy().Key());
      case 7:
        return directory.RemovePod({NamespaceName(), PodName()});
      default:
        return directory.Put(RandomPod());
    }
  }

  size_t Below(size_t end) { return random_() % end; }

 private:
  std::string Of(const char* letters, size_t count) {
    return std::string(1, letters[Below(count)]);
  }
  std::string NamespaceName() { return "ns-" + Of("abcd", 4); }
  std::string PodName() { return "pod-" + Of("abcdefgh", 8); }
  std::string PolicyName() { return "policy-" + Of("abc", 3); }
  std::string Key() { return Of("xyz", 3); }
  std::string Value() { return Below(5) == 0 ? "" : Of("12", 2); }

  LabelMap Labels() {
    std::map<std::string, std::string> labels;
    for (size_t i = Below(3); i > 0; --i) labels[Key()] = Value();
    return {labels.begin(), labels.end()};
  }

  ObjectSelector Selector() {
    ObjectSelector selector;
    if (Below(2) == 0) selector.match_labels = Labels();
    if (Below(3) != 0) return selector;
    LabelRequirement& one = selector.match_expressions.emplace_back();
    one.key = Key();
    one.op = static_cast<Operator>(Below(4));
    const bool listed = one.op == Operator::kIn || one.op == Operator::kNotIn;
    for (size_t i = listed ? 1 + Below(2) : 0; i > 0; --i) one.values.push_back(Value());
    return selector;
  }

  NetworkPolicyRule Rule() {
    NetworkPolicyRule rule;
    for (size_t i = Below(3); i > 0; --i) {
      NetworkPolicyPeer& peer = rule.peers.emplace_back();
      const size_t kind = Below(4);
      if (kind == 3) peer.block = IpBlock{*Cidr::Parse("10.0.0.0/8"), {}};
      if (kind == 0 || kind == 2) peer.pods = Selector();
      if (kind == 1 || kind == 2) peer.namespaces = Selector();
    }
    for (size_t i = Below(3); i > 0; --i) {
      const auto protocol = static_cast<Protocol>(Below(2));
      const bool named = Below(2) == 0;
      rule.ports.push_back(
          {protocol, static_cast<uint16_t>(named ? 0 : 80), 0, named ? "web" : ""});
    }
    return rule;
  }

  NetworkPolicy Policy() {
    NetworkPolicy policy;
    policy.name = {NamespaceName(), PolicyName()};
    policy.pods = Selector();
    policy.for_egress = Below(6) != 0;
    policy.for_ingress = Below(3) != 0;
    for (size_t i = Below(3); i > 0; --i) policy.egress.push_back(Rule());
    for (size_t i = Below(3); i > 0; --i) policy.ingress.push_back(Rule());
    return policy;
  }

  DnsEgressPolicy DnsPolicy() {
    DnsEgressPolicy policy = MakeDnsPolicy(NamespaceName(), PolicyName(), {}, {"example.com"});
    policy.pods = Selector();
    policy.kind = static_cast<DnsEgressPolicy::Kind>(Below(3));
    if (policy.kind == DnsEgressPolicy::Kind::kDnsEgressPolicy) return policy;
    policy.name.ns.clear();
    policy.namespaces = Selector();
    return policy;
  }

  Pod RandomPod() {
    Pod pod = MakePod(NamespaceName(), PodName(), Labels(), {});
    for (size_t i = Below(3); i > 0; --i) {
      const std::string last = std::to_string(Below(12));
      pod.ips.push_back(Ip(Below(2) == 0 ? "10.0.0." + last : "fd00::" + last));
    }
    pod.host_network = Below(8) == 0;
    pod.finished = Below(8) == 0;
    pod.terminating = Below(8) == 0;
    std::vector<ContainerPort> ports;
    for (size_t i = Below(3); i > 0; --i) {
      ports.push_back({Below(3) == 0 ? "other" : "web", static_cast<Protocol>(Below(2)),
                       static_cast<uint16_t>(8000 + Below(2))});
    }
    pod.named_ports = std::move(ports);
    return pod;
  }

  std::mt19937 random_;
};

Outcome OutcomeOf(const PolicySnapshot& policies, const Snapshot& snapshot, const Outcome& names) {
  Outcome outcome;
  for (const auto& [name, members] : names.sets) {
    const PeerSet* set = policies.FindPeers(name);
    if (set == nullptr) continue;
    const Peers peers = set->Members();
    outcome.sets[name] = {peers.begin(), peers.end()};
  }
  snapshot.ForEachPod([&](const Pod& pod) {
    const auto* list = policies.FindPolicies(pod.name.ToString());
    if (list != nullptr) outcome.pods[pod.name.ToString()] = *list;
  });
  for (const std::string& name : names.policies) {
    if (policies.FindRules(name) != nullptr) outcome.policies.insert(name);
  }
  return outcome;
}

// The names that are on one side alone, or with other content.
template <typename T>
std::set<std::string> Differing(const std::map<std::string, T>& a,
                                const std::map<std::string, T>& b) {
  std::set<std::string> names;
  for (const auto& [name, content] : a) {
    if (!b.contains(name) || b.at(name) != content) names.insert(name);
  }
  for (const auto& [name, content] : b) {
    if (!a.contains(name)) names.insert(name);
  }
  return names;
}

// What else of a pod is served to it: its ports, where policies of ingress select it.
std::map<std::string, std::vector<ContainerPort>> PortsServed(const Snapshot& snapshot,
                                                              const Outcome& outcome) {
  std::map<std::string, std::vector<ContainerPort>> ports;
  for (const auto& [key, names] : outcome.pods) {
    if (!names.ingress.empty()) ports[key] = *snapshot.FindPod(key)->named_ports;
  }
  return ports;
}

std::set<std::string> PodsOf(const Snapshot& snapshot) {
  std::set<std::string> pods;
  snapshot.ForEachPod([&](const Pod& pod) { pods.insert(pod.name.ToString()); });
  return pods;
}

std::set<std::string> NamesOf(const ChangedResources& changed, ResourceType type) {
  const auto& names = changed[static_cast<size_t>(type)];
  return {names.begin(), names.end()};
}

// A client that asks for a set now and then, and keeps it by what it is sent.
struct Client {
  std::string version;
  std::set<Peer> members;

  void Ask(const PeerSet& set) {
    envoy::service::discovery::v3::DeltaDiscoveryResponse field;
    const ResourcePtr sent = set.Since(version);
    ASSERT_TRUE(field.ParseFromArray(sent->wire.begin(), static_cast<int>(sent->wire.size())));
    const auto parsed = api::ParsePeerSet(field.resources(0));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    if (parsed->is_whole()) {
      members.clear();
    } else {
      ASSERT_EQ(parsed->base, version);
    }
    for (const Peer& peer : parsed->added) ASSERT_TRUE(members.insert(peer).second);
    for (const Peer& peer : parsed->removed) ASSERT_EQ(members.erase(peer), 1u);
    version = sent->version;
  }
};

std::map<std::string, std::string> VersionsOf(const PolicySnapshot& policies,
                                              const Outcome& names) {
  std::map<std::string, std::string> versions;
  for (const auto& [name, members] : names.sets)
    versions[name] = policies.FindPeers(name)->version();
  for (const std::string& name : names.policies) {
    versions[name] = policies.FindRules(name)->version;
  }
  return versions;
}

// Another replica, that reads what there is in another order.
void ExpectAnotherReplicaAgrees(const Snapshot& snapshot, const PolicySnapshot& policies,
                                const Outcome& names) {
  Directory directory;
  PolicyIndex index;
  ChangedResources ignored;
  const auto commit = [&] { index.Follow(directory.Commit(), ignored); };
  snapshot.ForEachDnsEgressPolicy([&](const DnsEgressPolicy& one) { directory.Put(one); });
  commit();
  snapshot.ForEachPod([&](const Pod& pod) {
    directory.Put(pod);
    if (pod.labels.empty()) commit();
  });
  snapshot.ForEachNetworkPolicy([&](const NetworkPolicy& one) { directory.Put(one); });
  commit();
  snapshot.ForEachNamespace([&](const Namespace& ns) { directory.Put(ns); });
  commit();
  EXPECT_EQ(VersionsOf(*index.current(), names), VersionsOf(policies, names));
  EXPECT_EQ(OutcomeOf(*index.current(), snapshot, names), names);
}

void FollowRandomly(unsigned seed, size_t most_counts) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomCluster cluster(seed);
  Directory directory;
  PolicyIndex index(most_counts);
  Outcome before;
  std::map<std::string, std::vector<ContainerPort>> ports_before;
  std::set<std::string> pods_before;
  std::map<std::string, Client> clients;
  for (int step = 0; step < 400; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    for (size_t i = 1 + cluster.Below(5); i > 0; --i) cluster.Change(directory);
    ChangedResources changed;
    index.Follow(directory.Commit(), changed);
    const Snapshot& snapshot = *directory.snapshot();
    const Outcome expected = Reference(snapshot).outcome;
    ASSERT_EQ(OutcomeOf(*index.current(), snapshot, expected), expected);
    ASSERT_EQ(index.current()->peer_set_count(), expected.sets.size());
    ASSERT_EQ(index.current()->rules_count(), expected.policies.size());
    ASSERT_EQ(index.current()->selected_pod_count(), expected.pods.size());
    // What is said to have changed is what did.
    ASSERT_EQ(NamesOf(changed, ResourceType::kPeerSet), Differing(before.sets, expected.sets));
    const auto ports = PortsServed(snapshot, expected);
    std::set<std::string> other_pods = Differing(before.pods, expected.pods);
    other_pods.merge(Differing(ports_before, ports));
    // Of a new pod it is known from now on, be it that there are none for it.
    const std::set<std::string> pods = PodsOf(snapshot);
    std::set_difference(pods.begin(), pods.end(), pods_before.begin(), pods_before.end(),
                        std::inserter(other_pods, other_pods.end()));
    ASSERT_EQ(NamesOf(changed, ResourceType::kEgressPolicy), other_pods);
    ports_before = ports;
    pods_before = pods;
    for (const auto& [name, members] : expected.sets) {
      if (cluster.Below(8) != 0) continue;
      clients[name].Ask(*index.current()->FindPeers(name));
      ASSERT_EQ(clients[name].members, members);
    }
    before = expected;
  }
  ExpectAnotherReplicaAgrees(*directory.snapshot(), *index.current(), before);
}

TEST(PolicyIndex, IsWhatAllWorkedOutAnewIsAfterAnyCommits) {
  for (unsigned seed = 0; seed < 20 && !::testing::Test::HasFailure(); ++seed) {
    FollowRandomly(seed, PolicyIndex::kMostCounts);
  }
}

TEST(PolicyIndex, IsTheSameWhereItHasRoomForFewCountsAtOnce) {
  for (unsigned seed = 0; seed < 10 && !::testing::Test::HasFailure(); ++seed) {
    FollowRandomly(seed, 1 + seed);
  }
}

}  // namespace
}  // namespace portolan::xds
