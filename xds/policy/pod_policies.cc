#include "xds/policy/pod_policies.h"

#include <utility>

#include "absl/functional/function_ref.h"
#include "xds/policy/policy_resources.h"

namespace portolan::xds {
namespace {

DirectoryChanges AllOf(const Snapshot& snapshot) {
  DirectoryChanges changes;
  snapshot.ForEachNamespace([&](const Namespace& ns) { changes.namespaces.insert(ns.name); });
  snapshot.ForEachPod([&](const Pod& pod) { changes.pods.insert(pod.name.ToString()); });
  snapshot.ForEachNetworkPolicy([&](const NetworkPolicy& policy) {
    changes.network_policies.insert(policy.name.ToString());
  });
  snapshot.ForEachDnsEgressPolicy(
      [&](const DnsEgressPolicy& policy) { changes.dns_egress_policies.insert(policy.Key()); });
  return changes;
}

// `peers_of`: those of a set that count.
PodPolicies Collect(const Snapshot& snapshot, const PolicySnapshot& policies, const Pod& pod,
                    std::vector<std::string> PolicyNames::*direction,
                    absl::FunctionRef<Peers(const PeerSet&)> peers_of) {
  PodPolicies result;
  const PolicyNames* names = policies.FindPolicies(pod.name.ToString());
  if (names == nullptr) return result;
  for (const std::string& name : names->*direction) {
    PolicyResource resource = *FindPolicyResource(snapshot, name);
    for (const auto& [set, selector] : resource.peers) {
      result.peers[set] = peers_of(*policies.FindPeers(set));
    }
    result.policies.push_back(std::move(resource.rules));
  }
  const Node* node = snapshot.FindNode(pod.node_name);
  if (node != nullptr) result.node_addresses = node->internal_ips;
  return result;
}

}  // namespace

std::shared_ptr<const PolicySnapshot> PoliciesOf(const std::shared_ptr<const Snapshot>& snapshot) {
  PolicyIndex index;
  ChangedResources ignored;
  index.Follow({snapshot, AllOf(*snapshot)}, ignored);
  return index.current();
}

PodPolicies EgressPoliciesOf(const Snapshot& snapshot, const PolicySnapshot& policies,
                             const Pod& pod) {
  return Collect(snapshot, policies, pod, &PolicyNames::egress,
                 [](const PeerSet& set) { return set.Members(); });
}

PodPolicies IngressPoliciesOf(const Snapshot& snapshot, const PolicySnapshot& policies,
                              const Pod& pod, const IpAddress& client) {
  return Collect(snapshot, policies, pod, &PolicyNames::ingress, [&](const PeerSet& set) {
    const Peer peer{client, 0};
    return set.Contains(peer) ? Peers{peer} : Peers{};
  });
}

}  // namespace portolan::xds
