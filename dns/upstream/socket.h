// A non-blocking socket connected to an upstream, counted against the worker's bound. Connecting a
// datagram socket makes the kernel drop what comes from another address and draws a random source
// port (RFC 5452 9.2). The worker's loop.
#pragma once

#include "common/fd.h"
#include "common/ip.h"
#include "dns/upstream/context.h"

namespace portolan::dns::upstream {

enum class Started : uint8_t {
  kYes,
  kUnreachable,  // the server's fault, or the network's
  kNoSocket,     // ours: a bound is reached, or there are no descriptors
};

// Of the last send or recv: nothing is wrong, it is just not the time.
bool WouldBlock();

class Socket {
 public:
  explicit Socket(Context& context) : context_(context) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { Close(); }

  // `type` is SOCK_DGRAM or SOCK_STREAM; a stream may still be connecting. REQUIRES: not open.
  Started Open(const SocketAddress& server, int type);
  void Close();

  bool is_open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

 private:
  Context& context_;
  Fd fd_;
};

}  // namespace portolan::dns::upstream
