#include "xds/policy/pod_policies.h"

#include "xds/policy/policy_index.h"
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

}  // namespace

PodPolicies PolicyRulesFor(const std::shared_ptr<const Snapshot>& snapshot, const Pod& pod) {
  PolicyIndex index;
  ChangedResources ignored;
  index.Follow({snapshot, AllOf(*snapshot)}, ignored);
  PodPolicies result;
  const auto add = [&](const std::vector<std::string>& names, std::vector<PolicyInput>& to) {
    for (const std::string& name : names) {
      PolicyResource resource = *FindPolicyResource(*snapshot, name);
      for (const auto& [set, peers] : resource.peers) {
        result.peers[set] = index.current()->FindPeers(set)->Members();
      }
      to.push_back(std::move(resource.rules));
    }
  };
  const PolicyNames names = index.PoliciesFor(pod);
  add(names.egress, result.policies);
  add(names.ingress, result.ingress);
  const Node* node = snapshot->FindNode(pod.node_name);
  if (node != nullptr) result.node_addresses = node->internal_ips;
  return result;
}

}  // namespace portolan::xds
