#include "proxy/forwarder/udp_headers.h"

#include <netinet/in.h>

#include <cassert>
#include <cstring>

namespace portolan::proxy {
namespace {

constexpr size_t kIpv4Bytes = 20;
constexpr size_t kIpv6Bytes = 40;
constexpr size_t kUdpBytes = 8;
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
  // 0 means that there is none.
  return checksum == 0 ? 0xffff : checksum;
}

}  // namespace

void UdpHeaders::Write(const SocketAddress& from, const SocketAddress& to,
                       std::span<const std::byte> payload) {
  const bool v4 = from.ip.is_v4();
  assert(v4 == to.ip.is_v4() && payload.size() <= MaxPayload(from.ip.family()));
  const size_t ip_bytes = v4 ? kIpv4Bytes : kIpv6Bytes;
  const size_t udp_length = kUdpBytes + payload.size();
  size_ = ip_bytes + kUdpBytes;
  bytes_.fill(0);

  uint8_t* ip = bytes_.data();
  if (v4) {
    ip[0] = 0x45;  // version 4, five words
    Put16(ip + 2, kIpv4Bytes + udp_length);
    ip[8] = kHops;
    ip[9] = IPPROTO_UDP;
    PutIp(ip + 12, from.ip);
    PutIp(ip + 16, to.ip);
  } else {
    ip[0] = 0x60;  // version 6
    Put16(ip + 4, udp_length);
    ip[6] = IPPROTO_UDP;
    ip[7] = kHops;
    PutIp(ip + 8, from.ip);
    PutIp(ip + 24, to.ip);
  }

  uint8_t* udp = ip + ip_bytes;
  Put16(udp, from.port);
  Put16(udp + 2, to.port);
  Put16(udp + 4, udp_length);

  // Over a pseudo header (addresses, protocol, length), the UDP header and the payload.
  const size_t addresses = 2 * from.ip.bytes().size();
  uint8_t pseudo[4] = {0, IPPROTO_UDP, 0, 0};
  Put16(pseudo + 2, udp_length);
  uint64_t sum = Sum(udp - addresses, addresses, 0);
  sum = Sum(pseudo, sizeof pseudo, sum);
  sum = Sum(udp, kUdpBytes, sum);
  const uint16_t checksum = Folded(Sum(payload.data(), payload.size(), sum));
  std::memcpy(udp + 6, &checksum, sizeof checksum);
}

}  // namespace portolan::proxy
