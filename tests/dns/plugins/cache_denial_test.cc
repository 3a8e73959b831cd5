// RFC 8020: nothing exists below a name that does not exist; and what that saves clients that
// complete names with a search list (ndots).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/cache_world.h"

namespace portolan::dns {
namespace {

using test::Address;
using test::Denial;
using test::Got;
using ::testing::ElementsAre;
using wire::Rcode;
using wire::type::kA;
using wire::type::kAaaa;
namespace flag = wire::flag;

class CacheDenialTest : public test::CacheWorld {
 protected:
  // An internet with example.org and com.example.com alone, and whatever `zones` hold. A name in no
  // zone is denied by the root.
  void Serve(std::vector<std::string> zones, std::vector<std::string> names = {"example.org."}) {
    zones_ = std::move(zones);
    names_ = std::move(names);
    upstream_->answer = [this](Exchange& exchange) {
      const std::string name = wire::NameToText(exchange.query().lower_name());
      for (const std::string& known : names_) {
        if (name == known) return Address(exchange, 60);
        if (known.ends_with("." + name)) return Denial(exchange, Rcode::kNoError, ZoneOf(name), 60);
      }
      if (name == ZoneOf(name)) return Denial(exchange, Rcode::kNoError, name, 60);
      Denial(exchange, Rcode::kNxDomain, ZoneOf(name), 60);
    };
  }
  std::string ZoneOf(const std::string& name) const {
    for (const std::string& zone : zones_) {
      if (name == zone || name.ends_with("." + zone)) return zone;
    }
    return "example.";
  }

  // As glibc's getaddrinfo.
  void GetAddrInfo(const std::string& name) {
    Ask(name);
    Ask(name, kAaaa);
  }
  std::vector<std::string> TakeAsked() { return std::exchange(upstream_->asked, {}); }

 private:
  std::vector<std::string> zones_, names_;
};

TEST_F(CacheDenialTest, ANameBelowADeniedOneIsDeniedAtOnce) {
  Use("cache 30");
  Serve({});
  Ask("gone.example");
  Pass(10);
  for (const uint16_t type : {kA, kAaaa}) {
    const Got got = Ask("a.b.Gone.example", type, kEdns);
    EXPECT_EQ(got.rcode(), 3);
    EXPECT_EQ(got.soa_owner(), "example.");
    EXPECT_THAT(got.ttls(), ElementsAre(20));
    EXPECT_EQ(got.record(wire::type::kSoa).size(), 2 * 12 + 20u);
    EXPECT_EQ(got.flags() & (flag::kAuthoritative | test::kRa), flag::kAuthoritative | test::kRa);
    EXPECT_TRUE(got.has_opt());
  }
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(Metric("portolan_cache_below_nxdomain_total"), 2);
  EXPECT_EQ(Metric("coredns_cache_hits_total"), 2);
  Pass(20);
  Ask("a.gone.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheDenialTest, NamesBesideAndAboveAreAsked) {
  Use("cache 30");
  Serve({});
  Ask("gone.example");
  for (const char* name : {"notgone.example", "example", "one.example", "gone.example.org"}) {
    TakeAsked();
    Ask(name);
    EXPECT_EQ(TakeAsked().size(), 1u) << name;
  }
}

TEST_F(CacheDenialTest, OnlyWhatIsDeniedByAZoneAboveCuts) {
  Use("cache 30");
  const auto asks_below = [&](const std::string& zone, Rcode rcode) {
    upstream_->answer = [&](Exchange& exchange) { Denial(exchange, rcode, zone, 60); };
    Pass(100);
    Ask("apex.example");
    TakeAsked();
    Ask("a.apex.example");
    return TakeAsked().size() == 1;
  };
  EXPECT_TRUE(asks_below("apex.example", Rcode::kNxDomain)) << "a zone denies its own apex";
  EXPECT_TRUE(asks_below("other.test", Rcode::kNxDomain)) << "a zone that is not above";
  EXPECT_TRUE(asks_below("example", Rcode::kNoError)) << "NODATA";
  EXPECT_FALSE(asks_below("example", Rcode::kNxDomain));
}

TEST_F(CacheDenialTest, TheEndOfAnAliasIsNotTheName) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) {
    // An alias to a name that does not exist: NXDOMAIN with an answer.
    const std::string target = *wire::NameToWire("gone.example");
    wire::ReplyWriter writer(exchange.query(), exchange.room(), exchange.max_reply_bytes());
    const auto rdata = writer.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kCname,
                                  60, target.size());
    std::copy(target.begin(), target.end(), rdata.begin());
    const auto soa = writer.Add(wire::Section::kAuthority,
                                wire::QuestionSuffix(exchange.query(), exchange.query().labels - 1),
                                wire::type::kSoa, 60, 22);
    std::fill(soa.begin(), soa.end(), uint8_t{0});
    exchange.set_reply_bytes(writer.Finish(Rcode::kNxDomain, test::kRa));
    exchange.set_answered_by_upstream(true);
  };
  Ask("alias.example");
  Ask("alias.example");
  EXPECT_EQ(asked(), 1u);
  Ask("a.alias.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheDenialTest, WhoValidatesIsNotAnsweredWithoutProof) {
  Use("cache 30");
  Serve({});
  Ask("gone.example", kA, {.edns_version = 0, .dnssec_ok = true});
  Ask("a.gone.example", kA, {.edns_version = 0, .dnssec_ok = true});
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheDenialTest, OtherServersZonesAreNotCut) {
  Use("cache 30", {.borders = {*wire::Zone::Parse("."), *wire::Zone::Parse("in.gone.example")}});
  Serve({});
  Ask("gone.example");
  Ask("a.gone.example");
  EXPECT_EQ(asked(), 1u);
  Ask("a.in.gone.example");
  EXPECT_EQ(asked(), 2u);
  Ask("b.a.in.gone.example");
  EXPECT_EQ(asked(), 2u) << "denied by the zone's own servers";
}

// `getent ahosts example.org` with a node's domain in the search list, once the cluster's names are
// answered here.
TEST_F(CacheDenialTest, ASearchDomainThatDoesNotExistCostsThreeQuestionsOnce) {
  Use("cache 30", {.search = {"default.svc.cluster.local", "corp.example"}});
  Serve({}, {"example.org.", "www.example.org.", "example.com."});
  GetAddrInfo("example.org.corp.example");
  GetAddrInfo("example.org");
  EXPECT_THAT(TakeAsked(), ElementsAre("example.org.corp.example.", "corp.example.", "example.org.",
                                       "example.org."))
      << "the second type is denied by what came back in the background";
  for (const std::string name : {"www.example.org", "example.com"}) {
    GetAddrInfo(name + ".corp.example");
    GetAddrInfo(name);
    EXPECT_THAT(TakeAsked(), ElementsAre(name + ".", name + "."));
  }
  EXPECT_EQ(Metric("portolan_cache_suffix_questions_total"), 1);
}

TEST_F(CacheDenialTest, ASearchDomainThatExistsIsAskedOnceForEachTopLevelDomain) {
  Use("cache 30", {.search = {"corp.example"}});
  Serve({"corp.example."}, {"host.corp.example.", "example.org.", "www.example.org.", "a.com."});
  GetAddrInfo("example.org.corp.example");
  EXPECT_THAT(TakeAsked(), ElementsAre("example.org.corp.example.", "org.corp.example."));
  GetAddrInfo("www.example.org.corp.example");
  EXPECT_THAT(TakeAsked(), ElementsAre());
  GetAddrInfo("a.com.corp.example");
  EXPECT_THAT(TakeAsked(), ElementsAre("a.com.corp.example.", "com.corp.example."));
  EXPECT_EQ(Ask("host.corp.example").rcode(), 0) << "what exists there is found";
}

TEST_F(CacheDenialTest, ASearchDomainThatIsNoZoneOfItsOwnButExists) {
  Use("cache 30", {.search = {"corp.example"}});
  Serve({}, {"host.corp.example.", "example.org."});
  GetAddrInfo("example.org.corp.example");
  EXPECT_THAT(TakeAsked(), ElementsAre("example.org.corp.example.", "corp.example.",
                                       "example.org.corp.example.", "org.corp.example."));
  GetAddrInfo("www.example.org.corp.example");
  EXPECT_THAT(TakeAsked(), ElementsAre());
  EXPECT_EQ(Ask("host.corp.example").rcode(), 0);
}

TEST_F(CacheDenialTest, WhatDecidesIsAskedOncePerTtlEvenIfItCannotBeKept) {
  Use("cache 30", {.search = {"corp.example"}});
  upstream_->answer = [](Exchange& exchange) {
    const bool suffix = exchange.query().labels == 2;
    Denial(exchange, Rcode::kNxDomain, suffix ? "" : "example", 60);
  };
  GetAddrInfo("a.org.corp.example");
  GetAddrInfo("b.org.corp.example");
  EXPECT_EQ(Metric("portolan_cache_suffix_questions_total"), 1);
  Pass(30);
  GetAddrInfo("a.org.corp.example");
  EXPECT_EQ(Metric("portolan_cache_suffix_questions_total"), 2);
}

TEST_F(CacheDenialTest, NamesOfOneLabelAndOtherNamesAskNothingMore) {
  Use("cache 30", {.search = {"corp.example"}});
  Serve({"corp.example."});
  GetAddrInfo("host.corp.example");
  GetAddrInfo("a.b.other.test");
  EXPECT_EQ(Metric("portolan_cache_suffix_questions_total"), 0);
}

}  // namespace
}  // namespace portolan::dns
