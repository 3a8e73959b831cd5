// Rules of ingress name ports of the pod that they are for; what they come to at that pod.
//
// https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/: a name
// is that of a container's port, of the same protocol. Pure functions; any thread.
#pragma once

#include <vector>

#include "directory/model.h"
#include "directory/policy_input.h"

namespace portolan {

// The policy with numbers in place of names; of two ports of one name and protocol the first
// counts. A name that the pod lacks stands for no port, and a rule with no other for nothing.
PolicyInput WithOwnPorts(PolicyInput policy, const std::vector<ContainerPort>& ports);

}  // namespace portolan
