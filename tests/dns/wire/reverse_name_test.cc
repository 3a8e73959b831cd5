#include "dns/wire/reverse_name.h"

#include <gtest/gtest.h>

namespace portolan::dns::wire {
namespace {

TEST(ReverseName, OfIpv4HasItsBytesBackwards) {
  EXPECT_EQ(ReverseName(*IpAddress::Parse("10.43.0.123")), "123.0.43.10.in-addr.arpa.");
}

// The example of RFC 3596 2.5.
TEST(ReverseName, OfIpv6HasItsNibblesBackwards) {
  EXPECT_EQ(ReverseName(*IpAddress::Parse("4321:0:1:2:3:4:567:89ab")),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.");
}

}  // namespace
}  // namespace portolan::dns::wire
