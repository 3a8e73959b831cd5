// The two kinds of socket through which UDP is forwarded that need CAP_NET_RAW to be opened. To be
// used they need nothing.
//
// Captured datagrams come in through a transparent socket (IP_TRANSPARENT), to which TPROXY gives
// what has another destination; the kernel says which with each datagram (IP_RECVORIGDSTADDR,
// IPV6_RECVORIGDSTADDR in ip(7) and linux/in6.h). Answers go out through a raw socket, raw(7), with
// headers of our own: they come from the address and port that were dialled. A transparent socket
// bound to that address would do the same, but collides with an application of the pod that serves
// the same port.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fd.h"
#include "common/ip.h"

namespace portolan::proxy {

// Those of one worker.
struct UdpSockets {
  struct Listener {
    Fd fd;
    SocketAddress address;
  };
  std::vector<Listener> listeners;
  // By IpFamily; invalid where no listener is of the family.
  Fd answers_v4;
  Fd answers_v6;
};

// For each of `workers`, which share the addresses (SO_REUSEPORT). Port 0 lets the kernel choose,
// for all of them the same. Non-blocking, close-on-exec. Errors name the address.
absl::StatusOr<std::vector<UdpSockets>> OpenUdpSockets(std::vector<SocketAddress> listen,
                                                       size_t workers);

}  // namespace portolan::proxy
