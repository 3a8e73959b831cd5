#include "common/ip.h"

#include <gtest/gtest.h>

namespace portolan {
namespace {

TEST(IpAddress, ReadsAndPrintsBothFamilies) {
  EXPECT_EQ(IpAddress::Parse("10.43.0.123")->ToString(), "10.43.0.123");
  EXPECT_EQ(IpAddress::Parse("fd00:0::0001")->ToString(), "fd00::1");
  EXPECT_EQ(IpAddress::Parse("10.43.0.123")->bytes().size(), 4u);
  EXPECT_EQ(IpAddress::Parse("::1")->bytes().size(), 16u);
}

TEST(IpAddress, FoldsIpv4MappedAddresses) {
  EXPECT_EQ(*IpAddress::Parse("::ffff:10.0.0.1"), *IpAddress::Parse("10.0.0.1"));
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (auto text : {"", "10.0.0", "10.0.0.256", "fe80::1%eth0", "1.2.3.4 ", "example.org"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
}

TEST(IpAddress, KnowsLoopback) {
  EXPECT_TRUE(IpAddress::Parse("127.8.0.1")->is_loopback());
  EXPECT_TRUE(IpAddress::Parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::Parse("::2")->is_loopback());
}

TEST(SocketAddress, SurvivesTheKernelsForm) {
  for (auto text : {"10.0.0.1:53", "[fd00::7]:15053"}) {
    const auto address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    sockaddr_storage raw;
    const socklen_t length = address->ToSockaddr(&raw);
    const auto back = SocketAddress::From(reinterpret_cast<sockaddr*>(&raw), length);
    EXPECT_EQ(*back, *address);
    EXPECT_EQ(back->ToString(), text);
  }
}

TEST(SocketAddress, RefusesMissingPortAndBareIpv6) {
  for (auto text : {"10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "::1:53", "[10.0.0.1]:53"}) {
    EXPECT_FALSE(SocketAddress::Parse(text).ok()) << text;
  }
}

TEST(Cidr, ContainsItsAddressesOnly) {
  const Cidr services = *Cidr::Parse("10.43.0.0/17");
  EXPECT_TRUE(services.Contains(*IpAddress::Parse("10.43.127.255")));
  EXPECT_FALSE(services.Contains(*IpAddress::Parse("10.43.128.0")));
  EXPECT_FALSE(services.Contains(*IpAddress::Parse("::1")));
  EXPECT_TRUE(Cidr::Parse("::/0")->Contains(*IpAddress::Parse("fd00::1")));
}

TEST(Cidr, OfMappedAddressesIsOneOfIpv4WhereItHoldsNoOthers) {
  EXPECT_EQ(Cidr::Parse("::ffff:10.1.2.3/104")->ToString(), "10.0.0.0/8");
  EXPECT_EQ(Cidr::Parse("::ffff:10.1.2.3/128")->ToString(), "10.1.2.3/32");
  EXPECT_EQ(Cidr::Parse("::ffff:0:0/96")->ToString(), "0.0.0.0/0");
  EXPECT_EQ(Cidr::Parse("::ffff:10.1.2.3")->ToString(), "10.1.2.3/32");
  EXPECT_EQ(Cidr::Parse("::ffff:10.1.2.3/0")->ToString(), "::/0");
  const Cidr wider = *Cidr::Parse("::ffff:10.1.2.3/95");
  EXPECT_TRUE(wider.Contains(*IpAddress::Parse("::fffe:10.1.2.3")));
  EXPECT_FALSE(wider.Contains(*IpAddress::Parse("::fffd:10.1.2.3")));
  EXPECT_FALSE(Cidr::Parse("::ffff:10.1.2.3/129").ok());
}

TEST(Cidr, ClearsHostBits) {
  EXPECT_EQ(Cidr::Parse("10.43.1.2/16")->ToString(), "10.43.0.0/16");
  EXPECT_EQ(Cidr::Parse("fd00:43::5/112")->ToString(), "fd00:43::/112");
  EXPECT_EQ(Cidr::Parse("10.0.0.1")->ToString(), "10.0.0.1/32");
  EXPECT_FALSE(Cidr::Parse("10.0.0.0/33").ok());
}

}  // namespace
}  // namespace portolan
