// By which addresses the pod's node reaches it, and it the node, where the CNI makes the node the
// pod's router: bridge, ptp, flannel, kindnet, Cilium. There kubelet's probes come from the address
// of the pod's default route, which is none of the addresses of the Node object.
//
// Elsewhere (Calico, VPC CNIs) they come from one of these, and the default route leads to a
// link-local address, which is left out.
#pragma once

#include <string>
#include <vector>

#include "common/ip.h"

namespace portolan::proxy {

// Of the default routes of the network namespace of this thread, as the kernel tells it in files
// `route` and `ipv6_route` of `folder` ("/proc/net"; format: proc(5), net/ipv6/route.c). A file
// that is missing, as without IPv6, or a line that cannot be read has none. Reads files.
std::vector<IpAddress> DefaultGateways(const std::string& folder);

}  // namespace portolan::proxy
