#include "common/host_and_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST(HostAndPort, IsANameOrAnAddressAndAPort) {
  for (const char* text :
       {"peers.portolan-system.svc:15081", "10.0.0.1:1", "[2001:db8::1]:65535"}) {
    const auto parsed = HostAndPort::Parse(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->ToString(), text);
  }
  EXPECT_EQ(HostAndPort::Parse("[::1]:2")->host, "::1");
}

TEST(HostAndPort, NothingElseIs) {
  for (const char* text : {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "::1",
                           "[]:1", "2001:db8::1:1"}) {
    const auto parsed = HostAndPort::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(Message(parsed.status()), HasSubstr("is not HOST:PORT"));
  }
}

TEST(HostAndPort, IsLookedUp) {
  const auto found = LookUp({"localhost", 15081});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, Contains(*SocketAddress::Parse("127.0.0.1:15081")));
  EXPECT_THAT(Message(LookUp({"no-such-name.invalid", 1}).status()),
              HasSubstr("no-such-name.invalid: "));
}

}  // namespace
}  // namespace portolan
