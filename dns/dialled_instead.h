// Upstreams that are Services: what is dialled in place of a Service's address.
//
// The sidecar's own traffic is not captured, so it chooses endpoints itself; which they are is for
// the program to say, which has the directory. Values; any thread.
#pragma once

#include <compare>
#include <map>
#include <vector>

#include "common/ip.h"
#include "directory/model.h"

namespace portolan::dns {

struct UpstreamAddress {
  SocketAddress address;
  Protocol protocol = Protocol::kUdp;  // kTcp: it is never asked over UDP
  friend auto operator<=>(const UpstreamAddress&, const UpstreamAddress&) = default;
};

// What is not in it is dialled as it is. The endpoints of one address are all as good.
using DialledInstead = std::map<UpstreamAddress, std::vector<SocketAddress>>;

}  // namespace portolan::dns
