// IP addresses, socket addresses and CIDR blocks as plain values.
//
// Any thread. Nothing here allocates but ToString and the parse errors. Addresses are kept in
// network byte order; an IPv4 address fills the first four bytes. IPv4-mapped IPv6 addresses
// (::ffff:a.b.c.d) are folded to IPv4 when read from a sockaddr or from text, so that one address
// has one form.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace portolan {

enum class IpFamily : uint8_t { kIpv4, kIpv6 };

class IpAddress {
 public:
  // 0.0.0.0
  constexpr IpAddress() = default;

  static IpAddress V4(std::span<const uint8_t, 4> bytes);
  static IpAddress V6(std::span<const uint8_t, 16> bytes);

  // Accepts what inet_pton(3) accepts; a zone ("fe80::1%eth0") is an error.
  static absl::StatusOr<IpAddress> Parse(std::string_view text);

  IpFamily family() const { return family_; }
  bool is_v4() const { return family_ == IpFamily::kIpv4; }
  bool is_v6() const { return family_ == IpFamily::kIpv6; }
  bool is_loopback() const;
  bool is_unspecified() const;

  // 4 or 16 bytes, network order.
  std::span<const uint8_t> bytes() const { return {bytes_.data(), is_v4() ? 4u : 16u}; }

  std::string ToString() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    uint64_t words[2];
    std::memcpy(words, a.bytes_.data(), sizeof words);
    return H::combine(std::move(h), a.family_, words[0], words[1]);
  }

 private:
  IpFamily family_ = IpFamily::kIpv4;
  std::array<uint8_t, 16> bytes_{};
};

// An address and a port in host byte order.
struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;

  // "10.0.0.1:53" or "[::1]:53".
  static absl::StatusOr<SocketAddress> Parse(std::string_view text);
  // An error for any family but AF_INET and AF_INET6.
  static absl::StatusOr<SocketAddress> From(const sockaddr* address, socklen_t length);

  // Fills `out` and returns the length to pass to bind(2), connect(2) and friends.
  socklen_t ToSockaddr(sockaddr_storage* out) const;
  std::string ToString() const;

  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const SocketAddress& a) {
    return H::combine(std::move(h), a.ip, a.port);
  }
};

// A block of addresses; host bits are zero.
struct Cidr {
  IpAddress base;
  uint8_t prefix_bits = 0;

  // "10.43.0.0/16", "fd00::/64"; a bare address is a block of one. Host bits that are set are
  // cleared. "::ffff:10.0.0.0/104" is 10.0.0.0/8; one of less than 96 bits holds more than mapped
  // addresses, and is one of IPv6.
  static absl::StatusOr<Cidr> Parse(std::string_view text);
  // The block of so many bits that `address` lies in. REQUIRES: no more bits than its family has.
  static Cidr Around(const IpAddress& address, int prefix_bits);

  bool Contains(const IpAddress& address) const;
  std::string ToString() const;

  friend auto operator<=>(const Cidr&, const Cidr&) = default;
};

}  // namespace portolan
