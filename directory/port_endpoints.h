// The endpoints of a Service's port, out of its slices. Pure; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/ip.h"
#include "directory/model.h"

namespace portolan {

struct PortEndpoint {
  SocketAddress address;
  // Node, zone, hints and pod. Belongs to the slice it came from.
  const Endpoint* endpoint = nullptr;
};

// The endpoints that `slices`, all of one family, have for a Service's port, whatever their
// conditions: the slice's port is matched by name and protocol. In order of the slices, each
// address once (slices overlap while the control plane moves endpoints), ready where any of them
// says so.
std::vector<PortEndpoint> EndpointsForPort(
    const std::vector<std::shared_ptr<const EndpointSlice>>& slices, const std::string& port_name,
    Protocol protocol);

}  // namespace portolan
