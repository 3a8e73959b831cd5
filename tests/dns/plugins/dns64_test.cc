#include "dns/plugins/dns64.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/block.h"

namespace portolan::dns {
namespace {

using test::AddressBytes;
using test::NameBytes;
using test::operator+;  // NOLINT(misc-unused-using-decls): it does not see this use
using ::testing::HasSubstr;
using wire::Rcode;
using wire::Section;
using wire::type::kA;
using wire::type::kAaaa;

class Dns64Test : public ::testing::Test {
 protected:
  // example.org has an alias and an A record; its AAAA reply an SOA of `soa_ttl`.
  void Load(std::string_view directive, uint32_t soa_ttl = 3600) {
    EXPECT_EQ(block_.Load(directive), "");
    block_.client = {test::Ip("::1"), 5353};
    block_.below().says["example.org. 28"] = {
        Rcode::kNoError,
        {{Section::kAuthority, "org", wire::type::kSoa, soa_ttl,
          NameBytes("ns") + NameBytes("h") + test::Bytes(20)}}};
    block_.below().says["example.org. 1"] = {
        Rcode::kNoError,
        {{Section::kAnswer, "example.org", wire::type::kCname, 300, NameBytes("www.example.org")},
         {Section::kAnswer, "www.example.org", kA, 60, AddressBytes("192.0.2.33")}}};
  }

  test::Block block_;
};

TEST_F(Dns64Test, AaaaRecordsAreMadeOfTheARecords) {
  Load("dns64");
  EXPECT_EQ(block_.Ask("example.org", kAaaa),
            "0\nexample.org. 300 CNAME www.example.org."
            "\nwww.example.org. 60 AAAA 64:ff9b::c000:221");
  EXPECT_EQ(block_.Metric("coredns_dns64_requests_translated_total"), 1);
  EXPECT_THAT(block_.Ask("example.org", kA), HasSubstr("A 192.0.2.33"));
  EXPECT_EQ(block_.Metric("coredns_dns64_requests_translated_total"), 1);
}

TEST_F(Dns64Test, TheTtlIsAtMostThatOfTheSoaAndTenMinutesWithoutOne) {
  Load("dns64", 30);
  EXPECT_THAT(block_.Ask("example.org", kAaaa), HasSubstr(" 30 AAAA "));
  block_.below().says["example.org. 28"] = {};
  block_.below().says["example.org. 1"] = {
      Rcode::kNoError, {{Section::kAnswer, "example.org", kA, 3600, AddressBytes("192.0.2.33")}}};
  EXPECT_THAT(block_.Ask("example.org", kAaaa), HasSubstr(" 600 AAAA "));
}

TEST_F(Dns64Test, PrefixesOfEachLengthAreFilledAsRfc6052Says) {
  const std::pair<const char*, const char*> cases[] = {
      {"2001:db8::/32", "2001:db8:c000:221::"},
      {"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
      {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
      {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"},
      {"2001:db8:122:344::/96", "2001:db8:122:344::c000:221"}};
  for (const auto& [prefix, address] : cases) {
    Load(std::string("dns64 {\n prefix ") + prefix + "\n}");
    EXPECT_THAT(block_.Ask("example.org", kAaaa),
                HasSubstr("AAAA " + test::Ip(address).ToString()));
  }
}

TEST_F(Dns64Test, WhereThereIsIpv6NothingIsMadeUnlessAllIsTranslated) {
  Load("dns64");
  const test::Below::Reply real = {
      Rcode::kNoError, {{Section::kAnswer, "example.org", kAaaa, 60, AddressBytes("2001:db8::1")}}};
  block_.below().says["example.org. 28"] = real;
  EXPECT_EQ(block_.Ask("example.org", kAaaa), "0\nexample.org. 60 AAAA 2001:db8::1");
  Load("dns64 {\n translate_all\n}");
  block_.below().says["example.org. 28"] = real;
  EXPECT_THAT(block_.Ask("example.org", kAaaa), HasSubstr("AAAA 64:ff9b::"));
}

TEST_F(Dns64Test, NamesThatDoNotExistStaySo) {
  Load("dns64");
  EXPECT_EQ(block_.Ask("nosuch.org", kAaaa), "3");
  EXPECT_EQ(block_.below().asked.size(), 1u);
}

TEST_F(Dns64Test, QuestionsOverIpv4AreTranslatedOnlyWhereAllowed) {
  Load("dns64");
  block_.client = {test::Ip("127.0.0.1"), 5353};
  EXPECT_EQ(block_.Ask("example.org", kAaaa).substr(0, 2), "0|");
  Load("dns64 {\n allow_ipv4\n}");
  block_.client = {test::Ip("127.0.0.1"), 5353};
  EXPECT_THAT(block_.Ask("example.org", kAaaa), HasSubstr("AAAA 64:ff9b::"));
}

TEST_F(Dns64Test, AClientThatValidatesGetsWhatThereIs) {
  Load("dns64");
  EXPECT_EQ(
      block_.Ask("example.org", kAaaa, {.flags = 0x0110, .edns_version = 0, .dnssec_ok = true})
          .substr(0, 2),
      "0|");
}

TEST_F(Dns64Test, BadArgumentsAreErrorsWithTheirPlace) {
  for (const char* prefix : {"10.0.0.0/8", "64:ff9b::", "64:ff9b::/97", "64:ff9b::/24", "x/96"}) {
    EXPECT_THAT(block_.Load(std::string("dns64 ") + prefix),
                HasSubstr(std::string("Corefile:2:7: '") + prefix + "' is no IPv6 prefix"));
  }
  EXPECT_EQ(block_.Load("dns64 {\n translate_al\n}"),
            "Corefile:3:2: unknown option 'translate_al' of dns64, did you mean 'translate_all'?");
}

}  // namespace
}  // namespace portolan::dns
