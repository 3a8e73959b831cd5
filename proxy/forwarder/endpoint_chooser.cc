#include "proxy/forwarder/endpoint_chooser.h"

#include <algorithm>

namespace portolan::proxy {

EndpointChooser::EndpointChooser(uint32_t seed) : random_(seed) {}

const RouteEndpoint* EndpointChooser::Choose(const Route& route,
                                             std::span<const SocketAddress> tried) {
  if (route.endpoints.empty()) return nullptr;
  Turn& turn = TurnOf(route.target);
  for (size_t i = 0; i < route.endpoints.size(); ++i) {
    const RouteEndpoint& endpoint = route.endpoints[turn.next++ % route.endpoints.size()];
    if (std::find(tried.begin(), tried.end(), endpoint.address) == tried.end()) return &endpoint;
  }
  return nullptr;
}

EndpointChooser::Turn& EndpointChooser::TurnOf(const std::shared_ptr<const RouteTarget>& target) {
  if (turns_.size() >= sweep_at_) ForgetRemovedTargets();
  Turn& turn = turns_[target.get()];
  if (turn.target.expired()) {
    turn.target = target;
    // Small, so that counting on does not wrap for the next four billion connections.
    turn.next = static_cast<uint32_t>(random_() % (1u << 16));
  }
  return turn;
}

void EndpointChooser::ForgetRemovedTargets() {
  absl::erase_if(turns_, [](const auto& entry) { return entry.second.target.expired(); });
  sweep_at_ = std::max<size_t>(64, 2 * turns_.size());
}

}  // namespace portolan::proxy
