#include "proxy/forwarder/eligible_endpoints.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace portolan::proxy {
namespace {

uint16_t PortOf(const EndpointSlice& slice, const std::string& name, Protocol protocol) {
  for (const EndpointPort& port : slice.ports) {
    if (port.name == name && port.protocol == protocol) return port.port;
  }
  return 0;
}

bool IsReady(const RouteEndpoint& one) { return one.endpoint->conditions.ready; }
bool ServesUntilItEnds(const RouteEndpoint& one) {
  return one.endpoint->conditions.serving && one.endpoint->conditions.terminating;
}

template <typename Holds>
std::vector<RouteEndpoint> Filter(const std::vector<RouteEndpoint>& from, Holds&& holds) {
  std::vector<RouteEndpoint> kept;
  std::copy_if(from.begin(), from.end(), std::back_inserter(kept), holds);
  return kept;
}

bool Names(const std::vector<std::string>& hints, const std::string& here) {
  return std::find(hints.begin(), hints.end(), here) != hints.end();
}

using Hints = std::vector<std::string> Endpoint::*;

// Those of `ready` that are hinted for `here`; none where that kind of hint is not to be followed.
std::vector<RouteEndpoint> HintedFor(const std::string& here, Hints hints,
                                     const std::vector<RouteEndpoint>& ready) {
  const bool all_hinted = std::none_of(ready.begin(), ready.end(), [&](const RouteEndpoint& one) {
    return (one.endpoint->*hints).empty();
  });
  if (!all_hinted || here.empty()) return {};
  return Filter(ready, [&](const RouteEndpoint& one) { return Names(one.endpoint->*hints, here); });
}

}  // namespace

std::vector<RouteEndpoint> EndpointsForPort(
    const std::vector<std::shared_ptr<const EndpointSlice>>& slices, const std::string& port_name,
    Protocol protocol) {
  std::vector<RouteEndpoint> all;
  absl::flat_hash_map<SocketAddress, size_t> places;
  for (const auto& slice : slices) {
    const uint16_t port = PortOf(*slice, port_name, protocol);
    if (port == 0) continue;
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty()) continue;
      const RouteEndpoint one{{endpoint.addresses.front(), port}, &endpoint};
      if (one.address.ip.family() != slice->family) continue;
      const auto [place, is_new] = places.try_emplace(one.address, all.size());
      if (is_new) {
        all.push_back(one);
      } else if (IsReady(one) && !IsReady(all[place->second])) {
        all[place->second] = one;
      }
    }
  }
  return all;
}

std::vector<RouteEndpoint> EligibleEndpoints(const std::vector<RouteEndpoint>& all,
                                             TrafficPolicy policy, const Place& here) {
  if (policy == TrafficPolicy::kLocal) {
    if (here.node.empty()) return {};
    const auto local =
        Filter(all, [&](const RouteEndpoint& one) { return one.endpoint->node_name == here.node; });
    auto ready = Filter(local, IsReady);
    return ready.empty() ? Filter(local, ServesUntilItEnds) : ready;
  }
  auto ready = Filter(all, IsReady);
  if (ready.empty()) return Filter(all, ServesUntilItEnds);
  auto nearest = HintedFor(here.node, &Endpoint::node_hints, ready);
  if (nearest.empty()) nearest = HintedFor(here.zone, &Endpoint::zone_hints, ready);
  return nearest.empty() ? ready : nearest;
}

}  // namespace portolan::proxy
