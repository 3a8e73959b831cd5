#include "proxy/forwarder/udp_headers.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace portolan::proxy {
namespace {

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string Hex(const SocketAddress& from, const SocketAddress& to, const std::string& payload) {
  UdpHeaders headers;
  headers.Write(from, to, Bytes(payload));
  const auto bytes = headers.bytes();
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

const SocketAddress kServer4 = *SocketAddress::Parse("10.43.0.50:53");
const SocketAddress kClient4 = *SocketAddress::Parse("10.42.1.5:40000");
const SocketAddress kServer6 = *SocketAddress::Parse("[fd00:43::50]:53");
const SocketAddress kClient6 = *SocketAddress::Parse("[fd00:42::5]:40000");

// The checksums were computed apart from this code, two bytes at a time as RFC 1071 has it.
TEST(UdpHeaders, Ipv4WithEvenAndOddPayload) {
  EXPECT_EQ(Hex(kServer4, kClient4, "answer"),
            "4500002200000000401100000a2b00320a2a010500359c40000e1379");
  EXPECT_EQ(Hex(kServer4, kClient4, "answers"),
            "4500002300000000401100000a2b00320a2a010500359c40000fa076");
}

TEST(UdpHeaders, Ipv6) {
  EXPECT_EQ(Hex(kServer6, kClient6, "answer"),
            "60000000000e1140fd000043000000000000000000000050fd000042000000000000000000000005"
            "00359c40000e2e29");
}

TEST(UdpHeaders, ChecksumThatComesOutAsNoneIsSentAsItsOtherZero) {
  EXPECT_TRUE(Hex(kServer4, kClient4, "\x4d\xd9").ends_with("000affff"));
}

TEST(UdpHeaders, LargestDatagramFillsTheLengths) {
  const std::string largest(UdpHeaders::MaxPayload(IpFamily::kIpv4), 'x');
  EXPECT_EQ(largest.size(), 65'507u);
  EXPECT_TRUE(Hex(kServer4, kClient4, largest).starts_with("4500ffff"));
}

TEST(PortUnreachable, NamesTheDatagramInBothFamilies) {
  const auto hex = [](const PortUnreachable& packet) {
    const auto bytes = packet.bytes();
    return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  EXPECT_EQ(hex(PortUnreachable(kClient4, kServer4)),
            "4500003800000000400100000a2b00320a2a01050303c5c5000000004500001c0000000040110000"
            "0a2a01050a2b00329c40003500080000");
  EXPECT_EQ(hex(PortUnreachable(kClient6, kServer6)),
            "6000000000383a40fd000043000000000000000000000050fd000042000000000000000000000005"
            "0104fb0b000000006000000000081140fd000042000000000000000000000005fd00004300000000"
            "00000000000000509c40003500080000");
}

}  // namespace
}  // namespace portolan::proxy
