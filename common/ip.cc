#include "common/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "common/status.h"

namespace portolan {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

constexpr int kMappedBits = 8 * sizeof kMappedPrefix;

absl::StatusOr<int> ParseNumber(std::string_view text, int max) {
  int value = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max) {
    return InvalidArgument("'{}' is not a number from 0 to {}", text, max);
  }
  return value;
}

// The block of so many bits, fewer than kMappedBits, that mapped addresses lie in. ::fffe:0:0 lies
// in it too, and is an address of IPv6.
Cidr AroundMapped(int prefix_bits) {
  const uint8_t beside[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe};
  return Cidr::Around(IpAddress::V6(beside), prefix_bits);
}

}  // namespace

IpAddress IpAddress::V4(std::span<const uint8_t, 4> bytes) {
  IpAddress a;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

IpAddress IpAddress::V6(std::span<const uint8_t, 16> bytes) {
  if (std::equal(std::begin(kMappedPrefix), std::end(kMappedPrefix), bytes.begin())) {
    return V4(bytes.subspan<12, 4>());
  }
  IpAddress a;
  a.family_ = IpFamily::kIpv6;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

absl::StatusOr<IpAddress> IpAddress::Parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN + 1];
  uint8_t raw[16];
  if (text.size() < sizeof terminated) {
    std::memcpy(terminated, text.data(), text.size());
    terminated[text.size()] = '\0';
    if (text.find('\0') == std::string_view::npos) {
      if (inet_pton(AF_INET, terminated, raw) == 1) return V4(std::span<uint8_t, 4>(raw, 4));
      if (inet_pton(AF_INET6, terminated, raw) == 1) return V6(std::span<uint8_t, 16>(raw));
    }
  }
  return InvalidArgument("'{}' is not an IP address", text.substr(0, 64));
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](auto b) { return b == 0; });
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

absl::StatusOr<SocketAddress> SocketAddress::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon == std::string_view::npos ? 0 : colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  auto ip = IpAddress::Parse(host);
  if (!ip.ok() || ip->is_v6() != bracketed) {
    return InvalidArgument("'{}' is not ADDRESS:PORT or [IPV6]:PORT", text.substr(0, 64));
  }
  auto port = ParseNumber(text.substr(colon + 1), 65535);
  if (!port.ok()) return InvalidArgument("'{}': port: {}", text, Message(port.status()));
  return SocketAddress{*ip, static_cast<uint16_t>(*port)};
}

absl::StatusOr<SocketAddress> SocketAddress::From(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    const auto* raw = reinterpret_cast<const uint8_t*>(&in.sin_addr);
    return SocketAddress{IpAddress::V4(std::span<const uint8_t, 4>(raw, 4)), ntohs(in.sin_port)};
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    return SocketAddress{IpAddress::V6(std::span<const uint8_t, 16>(in.sin6_addr.s6_addr, 16)),
                         ntohs(in.sin6_port)};
  }
  return InvalidArgument("address family {} is neither IPv4 nor IPv6", address->sa_family);
}

socklen_t SocketAddress::ToSockaddr(sockaddr_storage* out) const {
  std::memset(out, 0, sizeof *out);
  if (ip.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(out);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, ip.bytes().data(), 4);
    return sizeof *in;
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(out);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  std::memcpy(&in6->sin6_addr, ip.bytes().data(), 16);
  return sizeof *in6;
}

std::string SocketAddress::ToString() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.ToString(), port)
                    : fmt::format("[{}]:{}", ip.ToString(), port);
}

absl::StatusOr<Cidr> Cidr::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  auto ip = IpAddress::Parse(text.substr(0, slash));
  if (!ip.ok()) return ip.status();
  const bool is_mapped = ip->is_v4() && text.substr(0, slash).find(':') != std::string_view::npos;
  const int max = ip->is_v4() && !is_mapped ? 32 : 128;
  int bits = max;
  if (slash != std::string_view::npos) {
    auto parsed = ParseNumber(text.substr(slash + 1), max);
    if (!parsed.ok()) return InvalidArgument("'{}': prefix: {}", text, Message(parsed.status()));
    bits = *parsed;
  }
  if (!is_mapped) return Around(*ip, bits);
  return bits < kMappedBits ? AroundMapped(bits) : Around(*ip, bits - kMappedBits);
}

Cidr Cidr::Around(const IpAddress& address, int prefix_bits) {
  uint8_t masked[16] = {};
  const auto bytes = address.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int left = std::clamp(prefix_bits - static_cast<int>(i) * 8, 0, 8);
    masked[i] = bytes[i] & static_cast<uint8_t>(0xff00 >> left);
  }
  return Cidr{address.is_v4() ? IpAddress::V4(std::span<uint8_t, 4>(masked, 4))
                              : IpAddress::V6(std::span<uint8_t, 16>(masked)),
              static_cast<uint8_t>(prefix_bits)};
}

bool Cidr::Contains(const IpAddress& address) const {
  if (address.family() != base.family()) return false;
  const auto a = address.bytes();
  const auto b = base.bytes();
  const size_t whole = prefix_bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  const int rest = prefix_bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

std::string Cidr::ToString() const { return fmt::format("{}/{}", base.ToString(), prefix_bits); }

}  // namespace portolan
