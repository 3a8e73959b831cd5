#include "proxy/forwarder/udp_headers.h"

#include <netinet/in.h>

#include <cassert>
#include <cstring>

namespace portolan::proxy {
namespace {

constexpr size_t kIpv4Bytes = 20;
constexpr size_t kIpv6Bytes = 40;
constexpr size_t kUdpBytes = 8;
constexpr size_t kIcmpBytes = 8;
constexpr uint8_t kHops = 64;

void Put16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void PutIp(uint8_t* at, const IpAddress& ip) {
  std::memcpy(at, ip.bytes().data(), ip.bytes().size());
}

// Adds to a ones' complement sum (RFC 1071), four bytes at a time and as they lie in memory: the
// sum does not depend on the order of bytes, as long as it is stored as it was read. An odd length
// only at the end.
uint64_t Sum(const void* data, size_t size, uint64_t sum) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (; size >= sizeof(uint32_t); size -= sizeof(uint32_t), bytes += sizeof(uint32_t)) {
    uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    sum += word;
  }
  uint32_t rest = 0;
  std::memcpy(&rest, bytes, size);
  return sum + rest;
}

uint16_t Folded(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto checksum = static_cast<uint16_t>(~sum);
  // To UDP, 0 means that there is none; in this arithmetic it has a twin.
  return checksum == 0 ? 0xffff : checksum;
}

size_t IpBytes(const IpAddress& ip) { return ip.is_v4() ? kIpv4Bytes : kIpv6Bytes; }

// The IP header in front of `size` bytes of `protocol`. REQUIRES: zeros at `at`.
void PutIpHeader(uint8_t* at, const IpAddress& from, const IpAddress& to, uint8_t protocol,
                 size_t size) {
  if (from.is_v4()) {
    at[0] = 0x45;  // version 4, five words
    Put16(at + 2, kIpv4Bytes + size);
    at[8] = kHops;
    at[9] = protocol;
    PutIp(at + 12, from);
    PutIp(at + 16, to);
  } else {
    at[0] = 0x60;  // version 6
    Put16(at + 4, size);
    at[6] = protocol;
    at[7] = kHops;
    PutIp(at + 8, from);
    PutIp(at + 24, to);
  }
}

void PutUdpHeader(uint8_t* at, uint16_t from, uint16_t to, size_t size) {
  Put16(at, from);
  Put16(at + 2, to);
  Put16(at + 4, kUdpBytes + size);
}

// The sum of the pseudo header: the addresses, which end the IP header in front of `at`, protocol
// and length.
uint64_t PseudoHeaderSum(const uint8_t* at, const IpAddress& ip, uint8_t protocol, size_t size) {
  const size_t addresses = 2 * ip.bytes().size();
  uint8_t rest[4] = {0, protocol, 0, 0};
  Put16(rest + 2, size);
  return Sum(rest, sizeof rest, Sum(at - addresses, addresses, 0));
}

void PutChecksum(uint8_t* at, uint64_t sum) {
  const uint16_t checksum = Folded(sum);
  std::memcpy(at, &checksum, sizeof checksum);
}

}  // namespace

void UdpHeaders::Write(const SocketAddress& from, const SocketAddress& to,
                       std::span<const std::byte> payload) {
  assert(from.ip.family() == to.ip.family() && payload.size() <= MaxPayload(from.ip.family()));
  const size_t udp_length = kUdpBytes + payload.size();
  size_ = IpBytes(from.ip) + kUdpBytes;
  bytes_.fill(0);
  PutIpHeader(bytes_.data(), from.ip, to.ip, IPPROTO_UDP, udp_length);
  uint8_t* udp = bytes_.data() + IpBytes(from.ip);
  PutUdpHeader(udp, from.port, to.port, payload.size());
  uint64_t sum = PseudoHeaderSum(udp, from.ip, IPPROTO_UDP, udp_length);
  sum = Sum(udp, kUdpBytes, sum);
  PutChecksum(udp + 6, Sum(payload.data(), payload.size(), sum));
}

PortUnreachable::PortUnreachable(const SocketAddress& client, const SocketAddress& dialled) {
  assert(client.ip.family() == dialled.ip.family());
  const bool v4 = client.ip.is_v4();
  const auto protocol = static_cast<uint8_t>(v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
  const size_t icmp_length = kIcmpBytes + IpBytes(client.ip) + kUdpBytes;
  size_ = IpBytes(client.ip) + icmp_length;
  PutIpHeader(bytes_.data(), dialled.ip, client.ip, protocol, icmp_length);
  uint8_t* icmp = bytes_.data() + IpBytes(client.ip);
  icmp[0] = v4 ? 3 : 1;  // destination unreachable
  icmp[1] = v4 ? 3 : 4;  // port
  // The headers of what cannot be delivered, as far as they name a socket.
  uint8_t* about = icmp + kIcmpBytes;
  PutIpHeader(about, client.ip, dialled.ip, IPPROTO_UDP, kUdpBytes);
  PutUdpHeader(about + IpBytes(client.ip), client.port, dialled.port, 0);
  const uint64_t pseudo = v4 ? 0 : PseudoHeaderSum(icmp, client.ip, protocol, icmp_length);
  PutChecksum(icmp + 2, Sum(icmp, icmp_length, pseudo));
}

}  // namespace portolan::proxy
