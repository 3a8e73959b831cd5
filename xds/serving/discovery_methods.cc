#include "xds/serving/discovery_methods.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "xds/serving/delta_session.h"
#include "xds/serving/state_session.h"

namespace portolan::xds {
namespace {

constexpr DiscoveryMethod kMethods[] = {
    {"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
     DiscoveryProtocol::kDelta, std::nullopt},
    {"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
     DiscoveryProtocol::kState, std::nullopt},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners",
     DiscoveryProtocol::kDelta, ResourceType::kListener},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
     DiscoveryProtocol::kState, ResourceType::kListener},
    {"/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes", DiscoveryProtocol::kDelta,
     ResourceType::kRoute},
    {"/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes", DiscoveryProtocol::kState,
     ResourceType::kRoute},
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters", DiscoveryProtocol::kDelta,
     ResourceType::kCluster},
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters", DiscoveryProtocol::kState,
     ResourceType::kCluster},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
     DiscoveryProtocol::kDelta, ResourceType::kLoadAssignment},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
     DiscoveryProtocol::kState, ResourceType::kLoadAssignment},
};

}  // namespace

const DiscoveryMethod* FindDiscoveryMethod(std::string_view name) {
  const auto* found = std::find_if(std::begin(kMethods), std::end(kMethods),
                                   [&](const DiscoveryMethod& m) { return m.name == name; });
  return found == std::end(kMethods) ? nullptr : found;
}

std::unique_ptr<Session> MakeSession(const DiscoveryMethod& method, Session::Options options) {
  options.only = method.only;
  if (method.protocol == DiscoveryProtocol::kState) {
    return std::make_unique<StateSession>(std::move(options));
  }
  return std::make_unique<DeltaSession>(std::move(options));
}

}  // namespace portolan::xds
