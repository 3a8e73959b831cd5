#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::CorefileServer;
using test::ErrorOf;
using wire::type::kA;
using wire::type::kAaaa;

// What becomes of a question: allowed ones reach whoami.
std::string Fate(CorefileServer& server, std::string_view client, std::string_view name = "a.org",
                 uint16_t type = kA) {
  server.client = {*IpAddress::Parse(client), 53};
  const Bytes reply = server.Ask(name, type, {.edns_version = 0});
  if (reply.empty()) return "dropped";
  if (!test::Additional(reply).empty()) return "allowed";
  return fmt::format("rcode {}, error {}", test::RcodeOf(reply), test::ExtendedErrorOf(reply));
}

TEST(Acl, EachActionDoesItsOwnAndIsCounted) {
  CorefileServer server(R"(. {
    acl {
        block net 192.168.0.0/16
        filter net 10.1.2.3 fd00::/8
        drop net 172.16.0.0/12
    }
    whoami
})");
  EXPECT_EQ(Fate(server, "192.168.9.9"), "rcode 5, error 15 acl");
  EXPECT_EQ(Fate(server, "10.1.2.3"), "rcode 0, error 17 acl");
  EXPECT_EQ(Fate(server, "fd00::1"), "rcode 0, error 17 acl");
  EXPECT_EQ(Fate(server, "172.16.0.1"), "dropped");
  EXPECT_EQ(Fate(server, "10.1.2.4"), "allowed");
  EXPECT_EQ(server.Metric("coredns_acl_blocked_requests_total"), 1);
  EXPECT_EQ(server.Metric("coredns_acl_filtered_requests_total"), 2);
  EXPECT_EQ(server.Metric("coredns_acl_dropped_requests_total"), 1);
  EXPECT_EQ(server.Metric("coredns_acl_allowed_requests_total"), 1);
}

TEST(Acl, TheFirstLineThatMatchesHolds) {
  CorefileServer server(". {\n acl {\n allow net 10.0.0.0/24\n block\n }\n whoami\n}");
  EXPECT_EQ(Fate(server, "10.0.0.1"), "allowed");
  EXPECT_EQ(Fate(server, "10.0.1.1"), "rcode 5, error 15 acl");
}

TEST(Acl, IsAboutTypesToo) {
  CorefileServer server(
      ". {\n acl {\n filter type AAAA MX net *\n block type * net ::1\n }\n whoami\n}");
  EXPECT_EQ(Fate(server, "10.0.0.1", "a.org", kAaaa), "rcode 0, error 17 acl");
  EXPECT_EQ(Fate(server, "10.0.0.1", "a.org", kA), "allowed");
  EXPECT_EQ(Fate(server, "::1", "a.org", kA), "rcode 5, error 15 acl");
}

TEST(Acl, SeveralAreTriedInOrderUntilOneAllows) {
  CorefileServer server(R"(. {
    acl a.org {
        allow type A
    }
    acl org {
        block
    }
    whoami
})");
  EXPECT_EQ(Fate(server, "10.0.0.1", "x.a.org"), "allowed");
  EXPECT_EQ(Fate(server, "10.0.0.1", "x.a.org", kAaaa), "rcode 5, error 15 acl");
  EXPECT_EQ(Fate(server, "10.0.0.1", "b.org"), "rcode 5, error 15 acl");
  EXPECT_EQ(Fate(server, "10.0.0.1", "a.net"), "allowed");
}

TEST(Acl, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf("acl {\n blok net *\n}"),
            "Corefile:3:2: unknown option 'blok' of acl, did you mean 'block'?");
  EXPECT_EQ(ErrorOf("acl {\n block type AAA\n}"),
            "Corefile:3:13: unknown word 'AAA' in acl, did you mean 'AAAA'?");
  EXPECT_EQ(ErrorOf("acl {\n block nett *\n}"),
            "Corefile:3:8: unknown word 'nett' in acl, did you mean 'net'?");
  EXPECT_EQ(ErrorOf("acl {\n block net\n}"), "Corefile:3:8: nothing follows 'net'");
  EXPECT_EQ(ErrorOf("acl {\n block net 10.0.0.0/33\n}").substr(0, 14), "Corefile:3:12:");
}

}  // namespace
}  // namespace portolan::dns
