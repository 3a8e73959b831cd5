// The directory in the words of Envoy's standard types, as its API has them
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/api) and gRPC reads them
// (https://github.com/grpc/proposal/blob/master/A27-xds-global-load-balancing.md).
//
// A Listener that goes by a Service's name is an API listener and holds its RouteConfiguration:
// libgrpc 1.51 does not find a Service again that was removed and came back where the routes are
// had by RDS. One that goes by a cluster IP is a TCP proxy to that Service, not bound to its port.
// The RouteConfiguration leads every request to the one Cluster, without a time limit; the Cluster
// takes its endpoints from EDS by aggregated discovery, round robin.
//
// A ClusterLoadAssignment holds the endpoints of one address family, that of the Service's first
// cluster IP, by region and zone; a zone weighs as much as it has endpoints. Ready ones are
// HEALTHY. Those that serve while they terminate are DRAINING, and HEALTHY where none is ready, as
// kube-proxy has it; the others are left out. publishNotReadyAddresses needs no care here: the API
// reports such endpoints as ready. Clients know neither internalTrafficPolicy nor session affinity
// nor hints.
//
// Pure; any thread.
#pragma once

#include <string_view>

#include "directory/directory.h"
#include "xds/serving/envoy_names.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

// Null if there is none of that name. REQUIRES: IsEnvoyType(type).
ResourcePtr EncodeEnvoyResource(ResourceType type, std::string_view name, const EnvoyNames& names,
                                const Snapshot& snapshot);

}  // namespace portolan::xds
