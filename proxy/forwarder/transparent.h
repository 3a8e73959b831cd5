// Sockets with addresses that are not the pod's: IP_TRANSPARENT in ip(7), IPV6_TRANSPARENT in
// linux/in6.h. Setting the option takes CAP_NET_RAW, using it afterwards nothing.
#pragma once

#include <cstdint>

#include "common/fd.h"
#include "common/ip.h"
#include "common/metrics.h"

namespace portolan::proxy {

// Before bind. False, and errno says why.
bool SetTransparent(int fd, IpFamily family);

// Dials for clients, from their addresses. One per worker, on its thread.
//
// The port is another than the client's: with the same one the kernel could not tell the client's
// connection from this one. It should be none either of another connection of that client, so it is
// taken from kFirstPort on, where a Linux client takes none by itself; only where kTries of those
// are in use does the kernel choose. Other clients do take them, and nothing here tells: bind and
// connect look for the sockets that dial, and the client's connection is one that was accepted.
// Then nothing answers, as the SYN finds that one: try again, from another port.
class ClientSources {
 public:
  static constexpr uint16_t kFirstPort = 61000;
  static constexpr int kTries = 8;

  // Counts in `ran_out`, which outlives it, how often the kernel had to choose.
  explicit ClientSources(Counter& ran_out);

  // Has `fd` connect, non-blocking and with TCP_NODELAY: EINPROGRESS or, where it is connected
  // already, 0. Else errno of what failed, and `fd` is not valid where it is the lack of a socket.
  int Connect(const IpAddress& client, const SocketAddress& to, Fd& fd);

 private:
  uint16_t NextPort();

  Counter& ran_out_;
  uint32_t next_;
};

}  // namespace portolan::proxy
