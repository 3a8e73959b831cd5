// Which endpoints of a Service port a connection from this node may go to, by kube-proxy's rules:
// https://kubernetes.io/docs/reference/networking/virtual-ips/ (traffic policies, traffic
// distribution), https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/.
//
//   internalTrafficPolicy Cluster   the ready ones; of those the ones hinted for this node if every
//                                   one has node hints, else the ones hinted for this zone if every
//                                   one has zone hints; where no hint is for here, all the ready
//   internalTrafficPolicy Local     the ready ones of this node, hints or not
//   none of these is ready          those that serve while they terminate, of all or of this node
//
// trafficDistribution (PreferClose, PreferSameZone, PreferSameNode) and topology-aware routing act
// through the hints, which the cluster's EndpointSlice controller sets. publishNotReadyAddresses
// needs no care here: the API already reports such endpoints as ready.
//
// Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "directory/port_endpoints.h"

namespace portolan::proxy {

// Where the pod runs. Empty: not known, and then nothing is local and no hint is for here.
struct Place {
  std::string node;
  std::string zone;
  friend bool operator==(const Place&, const Place&) = default;
};

using RouteEndpoint = PortEndpoint;

// Those of `all` that may be used, in their order.
std::vector<RouteEndpoint> EligibleEndpoints(const std::vector<RouteEndpoint>& all,
                                             TrafficPolicy policy, const Place& here);

}  // namespace portolan::proxy
