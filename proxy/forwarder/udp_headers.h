// What goes out through a raw socket: the IP and UDP headers of a datagram (RFC 791, RFC 8200,
// RFC 768), and ICMP's word that there is nobody (RFC 792, RFC 4443). IPv4's header checksum and
// identification are left to the kernel, which fills both in, raw(7). Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/ip.h"

namespace portolan::proxy {

// The headers of one datagram: 28 bytes for IPv4, 48 for IPv6.
class UdpHeaders {
 public:
  // What IPv4's total length, and IPv6's payload length, can say.
  static constexpr size_t MaxPayload(IpFamily family) {
    return family == IpFamily::kIpv4 ? 65'535 - 28 : 65'535 - 8;
  }

  // For `payload` from `from` to `to`, with the checksum of UDP.
  // REQUIRES: addresses of one family; at most MaxPayload bytes.
  void Write(const SocketAddress& from, const SocketAddress& to,
             std::span<const std::byte> payload);

  std::span<const uint8_t> bytes() const { return {bytes_.data(), size_}; }

 private:
  std::array<uint8_t, 48> bytes_;
  size_t size_ = 0;
};

// A whole packet: port unreachable, about a datagram that `client` sent to `dialled`, as `dialled`
// would say it itself. The kernel tells it to the client's socket if that is connected.
class PortUnreachable {
 public:
  // REQUIRES: addresses of one family.
  PortUnreachable(const SocketAddress& client, const SocketAddress& dialled);

  std::span<const uint8_t> bytes() const { return {bytes_.data(), size_}; }

 private:
  std::array<uint8_t, 96> bytes_{};
  size_t size_ = 0;
};

}  // namespace portolan::proxy
