// Datagrams taken from a socket by one system call, and sent on by as few: recvmmsg(2) into buffers
// of its own, sendmmsg(2) out of the same.
//
// One per worker, on its thread. 2 MB of address space, of which what datagrams have filled is
// memory. No allocation after it is made.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "common/ip.h"
#include "proxy/forwarder/udp_headers.h"

namespace portolan::proxy {

class DatagramBatch {
 public:
  static constexpr size_t kMost = 32;
  // Longer than any datagram of UDP.
  static constexpr size_t kBufferBytes = 65'536;

  DatagramBatch();
  DatagramBatch(const DatagramBatch&) = delete;
  DatagramBatch& operator=(const DatagramBatch&) = delete;

  // Replaces what is held by what waits at `fd`, at most kMost. 0, or the error of recvmmsg(2) when
  // nothing was received: EAGAIN, or what ICMP said to a connected socket.
  int Receive(int fd);
  size_t size() const { return size_; }

  std::span<const std::byte> payload(size_t i) const;
  // Of the payloads from `begin` to before `end`.
  size_t Bytes(size_t begin, size_t end) const;
  bool truncated(size_t i) const;
  // Where it came from, and the address it was sent to (IP_ORIGDSTADDR, IPV6_ORIGDSTADDR); nothing
  // if the kernel did not say.
  std::optional<SocketAddress> source(size_t i) const;
  std::optional<SocketAddress> dialled(size_t i) const;

  struct Sent {
    size_t count = 0;
    int error = 0;  // of the datagram after those; 0 if there was none
  };
  // Sends those from `begin` to before `end` on a connected socket.
  Sent SendOn(int fd, size_t begin, size_t end);
  // The same through a raw socket, as if they came from `from`.
  Sent SendRaw(int raw, const SocketAddress& from, const SocketAddress& to, size_t begin,
               size_t end);

 private:
  // Where the kernel writes about one datagram.
  struct Slot {
    sockaddr_in6 source;  // or sockaddr_in
    alignas(cmsghdr) std::array<std::byte, 64> control;
    iovec part;
  };
  struct Outgoing {
    UdpHeaders headers;
    std::array<iovec, 2> parts;
  };

  Sent Send(int fd, size_t begin, size_t end);

  size_t size_ = 0;
  const std::unique_ptr<std::byte[]> buffers_;
  std::array<Slot, kMost> slots_;
  std::array<mmsghdr, kMost> received_;
  std::array<Outgoing, kMost> outgoing_;
  std::array<mmsghdr, kMost> sent_;
};

}  // namespace portolan::proxy
