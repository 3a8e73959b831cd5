// The address that a redirected client dialled.
//
// A seam: the kernel knows it from conntrack (SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST in
// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h); tests say it themselves.
#pragma once

#include <functional>
#include <optional>

#include "common/ip.h"

namespace portolan::proxy {

// Of an accepted TCP socket of that family; nothing if it cannot be told. Called on the worker's
// thread.
using OriginalDestination = std::function<std::optional<SocketAddress>(int fd, IpFamily family)>;

// As the kernel's NAT knows it. A connection that was not redirected has the address it came in on,
// or none where the kernel does not track connections.
std::optional<SocketAddress> KernelOriginalDestination(int fd, IpFamily family);

// Of a connection that TPROXY gave us: it is the socket's own address.
std::optional<SocketAddress> LocalAddress(int fd, IpFamily family);

}  // namespace portolan::proxy
