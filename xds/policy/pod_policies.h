// What a snapshot's policies come to for one pod, worked out at once and by the same code that
// serves sidecars (policy_index.h): for `portolanctl policy test -f`, where nothing is followed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "directory/directory.h"
#include "directory/policy_input.h"

namespace portolan::xds {

struct PodPolicies {
  std::vector<PolicyInput> policies;      // by name; none: it may reach everything
  std::vector<PolicyInput> ingress;       // by name; none: anybody may connect to it
  std::map<std::string, Peers> peers;     // of each set that all these refer to, by its name
  std::vector<IpAddress> node_addresses;  // of the pod's node, which it may always reach
};

// Of `pod` its namespace, labels, node and host_network count; it need not be in the snapshot, and
// is nobody's peer if it is not. Costs milliseconds for each 1,000 pods. Any thread.
PodPolicies PolicyRulesFor(const std::shared_ptr<const Snapshot>& snapshot, const Pod& pod);

}  // namespace portolan::xds
