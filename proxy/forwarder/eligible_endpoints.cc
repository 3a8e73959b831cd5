#include "proxy/forwarder/eligible_endpoints.h"

#include <algorithm>

namespace portolan::proxy {
namespace {

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
