#include "common/resolv_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Nameservers(const ResolvConf& conf) {
  std::vector<std::string> out;
  for (const SocketAddress& server : conf.nameservers) out.push_back(server.ToString());
  return out;
}

TEST(ResolvConf, APodsFileIsRead) {
  const ResolvConf conf = ParseResolvConf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.43.0.10\n"
      "options ndots:5\n",
      "resolv.conf");
  EXPECT_THAT(Nameservers(conf), ElementsAre("10.43.0.10:53"));
  EXPECT_THAT(conf.search,
              ElementsAre("default.svc.cluster.local", "svc.cluster.local", "cluster.local"));
  EXPECT_EQ(conf.ndots, 5);
  EXPECT_THAT(conf.skipped, IsEmpty());
}

TEST(ResolvConf, SixSearchDomainsAreAllKept) {
  EXPECT_THAT(ParseResolvConf("search a b c d e f", "resolv.conf").search,
              ElementsAre("a", "b", "c", "d", "e", "f"));
}

TEST(ResolvConf, NoNameserverIsNone) {
  const ResolvConf conf = ParseResolvConf("# empty\n\n", "resolv.conf");
  EXPECT_THAT(conf.nameservers, IsEmpty());
  EXPECT_EQ(conf.ndots, 1);
}

TEST(ResolvConf, Ipv6AndIpv4NameserversStandInOrderOnce) {
  EXPECT_THAT(Nameservers(ParseResolvConf("nameserver fd00::a\r\nnameserver\t10.0.0.1 # x\n"
                                          "nameserver fd00::a\nnameserver 10.0.0.1",
                                          "resolv.conf")),
              ElementsAre("[fd00::a]:53", "10.0.0.1:53"));
}

TEST(ResolvConf, AnAddressWithAZoneIsSkippedAndNamed) {
  const ResolvConf conf =
      ParseResolvConf("nameserver fe80::1%eth0\nnameserver 10.0.0.1\n", "resolv.conf");
  EXPECT_THAT(Nameservers(conf), ElementsAre("10.0.0.1:53"));
  EXPECT_THAT(conf.skipped,
              ElementsAre("resolv.conf:1: nameserver fe80::1%eth0: addresses with a zone are not "
                          "supported"));
}

TEST(ResolvConf, ABadAddressAndABadOptionAreSkippedAndNamed) {
  const ResolvConf conf = ParseResolvConf(
      "nameserver dns.example\noptions ndots:x timeout:1 ndots:99\n", "resolv.conf");
  EXPECT_THAT(conf.skipped, ElementsAre(HasSubstr("resolv.conf:1: nameserver dns.example"),
                                        HasSubstr("resolv.conf:2: ndots:x")));
  EXPECT_EQ(conf.ndots, 15);
}

TEST(ResolvConf, TheLastSearchOrDomainLineCounts) {
  EXPECT_THAT(ParseResolvConf("search a b\ndomain c\n", "resolv.conf").search, ElementsAre("c"));
}

TEST(ResolvConf, ListsAreBounded) {
  std::string text = "search";
  for (int i = 0; i < 100; ++i) text += " d" + std::to_string(i);
  for (int i = 0; i < 40; ++i) text += "\nnameserver 10.0.0." + std::to_string(i);
  const ResolvConf conf = ParseResolvConf(text, "resolv.conf");
  EXPECT_EQ(conf.search.size(), kMaxSearchDomains);
  EXPECT_EQ(conf.nameservers.size(), kMaxNameservers);
}

TEST(ResolvConf, AMissingFileIsAnErrorThatNamesIt) {
  const auto conf = ReadResolvConf("/nonexistent/resolv.conf");
  ASSERT_FALSE(conf.ok());
  EXPECT_THAT(std::string(Message(conf.status())), HasSubstr("/nonexistent/resolv.conf"));
}

}  // namespace
}  // namespace portolan
