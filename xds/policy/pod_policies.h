// What a snapshot's policies come to for one pod, as its sidecar is served them (policy_index.h).
// Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "directory/directory.h"
#include "directory/policy_input.h"
#include "xds/policy/policy_index.h"

namespace portolan::xds {

// All of a snapshot's, worked out at once: for `portolanctl policy test -f`, where nothing is
// followed. Costs milliseconds for each 1,000 pods.
std::shared_ptr<const PolicySnapshot> PoliciesOf(const std::shared_ptr<const Snapshot>& snapshot);

// Of one direction.
struct PodPolicies {
  std::vector<PolicyInput> policies;      // by name; none: nothing limits it
  std::map<std::string, Peers> peers;     // of each set that these refer to, by its name
  std::vector<IpAddress> node_addresses;  // of the pod's node, which is always allowed
};

// Of a pod of `snapshot`, which `policies` follow: what it may reach, and who may connect to it. Of
// the latter the sets have no peer but `client`, where it is one: what there is to judge of it.
PodPolicies EgressPoliciesOf(const Snapshot& snapshot, const PolicySnapshot& policies,
                             const Pod& pod);
PodPolicies IngressPoliciesOf(const Snapshot& snapshot, const PolicySnapshot& policies,
                              const Pod& pod, const IpAddress& client);

}  // namespace portolan::xds
