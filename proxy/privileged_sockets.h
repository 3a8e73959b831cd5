// The sockets that take a capability to be opened, and the end of the privileges that the process
// was started with (privileges.h).
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "proxy/forwarder/udp_sockets.h"
#include "proxy/settings.h"

namespace portolan::proxy {

// Of each worker; without UDP they have no listeners. With UDP or inbound connections the process
// has no privilege afterwards but, with the latter, CAP_NET_RAW. The first thing of all: threads
// that are there already would keep what they may.
absl::StatusOr<std::vector<UdpSockets>> OpenPrivileged(const Settings& settings);

}  // namespace portolan::proxy
