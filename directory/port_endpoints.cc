#include "directory/port_endpoints.h"

#include "absl/container/flat_hash_map.h"

namespace portolan {
namespace {

uint16_t PortOf(const EndpointSlice& slice, const std::string& name, Protocol protocol) {
  for (const EndpointPort& port : slice.ports) {
    if (port.name == name && port.protocol == protocol) return port.port;
  }
  return 0;
}

}  // namespace

std::vector<PortEndpoint> EndpointsForPort(
    const std::vector<std::shared_ptr<const EndpointSlice>>& slices, const std::string& port_name,
    Protocol protocol) {
  std::vector<PortEndpoint> all;
  absl::flat_hash_map<SocketAddress, size_t> places;
  for (const auto& slice : slices) {
    const uint16_t port = PortOf(*slice, port_name, protocol);
    if (port == 0) continue;
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty()) continue;
      const PortEndpoint one{{endpoint.addresses.front(), port}, &endpoint};
      if (one.address.ip.family() != slice->family) continue;
      const auto [place, is_new] = places.try_emplace(one.address, all.size());
      if (is_new) {
        all.push_back(one);
      } else if (one.endpoint->conditions.ready && !all[place->second].endpoint->conditions.ready) {
        all[place->second] = one;
      }
    }
  }
  return all;
}

}  // namespace portolan
