// What CoreDNS's cache does (the scenarios in tests/conformance were observed there), and what ours
// does beside it for stale replies.
#include "dns/plugins/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/cache_world.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns {
namespace {

using test::Address;
using test::Denial;
using test::Failure;
using test::Got;
using ::testing::ElementsAre;
using wire::ExtendedError;
using wire::Rcode;
using wire::type::kA;
using wire::type::kAaaa;
namespace flag = wire::flag;

class CacheTest : public test::CacheWorld {
 protected:
  void AnswerWith(uint32_t ttl, uint8_t last = 1) {
    upstream_->answer = [=](Exchange& exchange) { Address(exchange, ttl, last); };
  }
  void DenyWith(Rcode rcode, const std::string& zone, uint32_t ttl) {
    upstream_->answer = [=](Exchange& exchange) { Denial(exchange, rcode, zone, ttl); };
  }
  void FailWith(bool theirs) {
    upstream_->answer = [=](Exchange& exchange) { Failure(exchange, theirs); };
  }
};

TEST_F(CacheTest, CapsTheTtlFromTheFirstReplyOnAndCountsItDown) {
  Use("cache 30");
  AnswerWith(300);
  const Got first = Ask("cap.example");
  EXPECT_THAT(first.ttls(), ElementsAre(30));
  EXPECT_EQ(first.flags(), flag::kResponse | flag::kRecursionDesired | test::kRa);
  Pass(2);
  const Got hit = Ask("cap.example");
  EXPECT_THAT(hit.ttls(), ElementsAre(28));
  EXPECT_EQ(hit.flags(),
            flag::kResponse | flag::kAuthoritative | flag::kRecursionDesired | test::kRa);
  Pass(28);
  Ask("cap.example");
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(Metric("coredns_cache_requests_total"), 3);
  EXPECT_EQ(Metric("coredns_cache_hits_total"), 1);
  EXPECT_EQ(Metric("coredns_cache_misses_total"), 2);
  EXPECT_EQ(Metric("coredns_cache_entries"), 1);
}

TEST_F(CacheTest, RaisesTheTtlToTheLeastInTheFirstReplyToo) {
  Use("cache 30");
  AnswerWith(2);
  EXPECT_THAT(Ask("min.example").ttls(), ElementsAre(5));
  EXPECT_THAT(Ask("min.example").ttls(), ElementsAre(5));
  AnswerWith(0);
  EXPECT_THAT(Ask("zero.example").ttls(), ElementsAre(5));
  EXPECT_THAT(Ask("zero.example").ttls(), ElementsAre(5));
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, ATtlOfZeroIsNotKeptWhereTheLeastIsZero) {
  Use("cache {\nsuccess 9984 30 0\ndenial 9984 5\n}");
  AnswerWith(0);
  EXPECT_THAT(Ask("zero.example").ttls(), ElementsAre(0));
  EXPECT_THAT(Ask("zero.example").ttls(), ElementsAre(0));
  EXPECT_EQ(asked(), 2u);
  DenyWith(Rcode::kNxDomain, "example", 60);
  EXPECT_THAT(Ask("no.example").ttls(), ElementsAre(5)) << "the cap of denials";
}

TEST_F(CacheTest, AllRecordsGetTheLowestTtl) {
  Use("cache 3600");
  upstream_->answer = [](Exchange& exchange) { Address(exchange, 100, 1, test::kRa, 3); };
  EXPECT_THAT(Ask("three.example").ttls(), ElementsAre(100, 100, 100));
  EXPECT_THAT(Ask("three.example").ttls(), ElementsAre(100, 100, 100));
}

TEST_F(CacheTest, DenialsAreKeptIfTheyHaveAnSoa) {
  Use("cache 30");
  DenyWith(Rcode::kNoError, "example", 60);
  Ask("nodata.example");
  EXPECT_EQ(Ask("nodata.example").soa_owner(), "example.");
  EXPECT_EQ(asked(), 1u);
  DenyWith(Rcode::kNxDomain, "example", 60);
  Ask("nx.example");
  const Got hit = Ask("nx.example");
  EXPECT_EQ(hit.rcode(), 3);
  EXPECT_THAT(hit.ttls(), ElementsAre(30));
  EXPECT_EQ(asked(), 2u);
  DenyWith(Rcode::kNxDomain, "", 60);
  Ask("no-soa.example");
  Ask("no-soa.example");
  EXPECT_EQ(asked(), 4u);
}

TEST_F(CacheTest, ServfailOfAnUpstreamIsKeptFiveSeconds) {
  Use("cache 30");
  FailWith(true);
  Ask("fail.example");
  Pass(4);
  const Got hit = Ask("fail.example", kA, kEdns);
  EXPECT_EQ(hit.rcode(), 2);
  EXPECT_EQ(hit.extended_error(), static_cast<int>(ExtendedError::kCachedError));
  EXPECT_EQ(asked(), 1u);
  Pass(1);
  Ask("fail.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, ServfailIsNotKeptWhenItIsOursOrSwitchedOff) {
  Use("cache 30");
  FailWith(false);
  Ask("ours.example");
  Ask("ours.example");
  EXPECT_EQ(asked(), 2u);
  Use("cache 30 {\nservfail 0s\n}");
  FailWith(true);
  Ask("theirs.example");
  Ask("theirs.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, TruncatedRepliesArePassedOnAndNotKept) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) {
    Address(exchange, 60, 1, test::kRa | flag::kTruncated);
  };
  EXPECT_EQ(Ask("tc.example").flags() & flag::kTruncated, flag::kTruncated);
  Ask("tc.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, TheKeyIsNameTypeDoAndCd) {
  Use("cache 30");
  AnswerWith(60);
  Ask("sep.example");
  const Got upper = Ask("SEP.Example");
  EXPECT_EQ(std::string(&upper.message[13], &upper.message[16]), "SEP") << "the client's spelling";
  Ask("sep.example", kA, {.flags = flag::kRecursionDesired | flag::kAuthenticData});
  EXPECT_EQ(asked(), 1u);
  Ask("sep.example", kAaaa);
  Ask("sep.example", kA, {.edns_version = 0, .dnssec_ok = true});
  Ask("sep.example", kA, {.flags = flag::kRecursionDesired | flag::kCheckingDisabled});
  EXPECT_EQ(asked(), 4u);
}

TEST_F(CacheTest, AdIsForThoseWhoAskedForIt) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) {
    Address(exchange, 60, 1, test::kRa | flag::kAuthenticData);
  };
  const auto has_ad = [&](uint16_t flags) {
    return (Ask("ad.example", kA, {.flags = flags}).flags() & flag::kAuthenticData) != 0;
  };
  constexpr uint16_t kRd = flag::kRecursionDesired;
  EXPECT_FALSE(has_ad(kRd)) << "first";
  EXPECT_FALSE(has_ad(kRd)) << "hit";
  EXPECT_TRUE(has_ad(kRd | flag::kAuthenticData)) << "hit";
  EXPECT_EQ(asked(), 1u);
}

TEST_F(CacheTest, OptIsTheClientsOwn) {
  Use("cache 30");
  AnswerWith(60);
  EXPECT_TRUE(Ask("opt.example", kA, kEdns).has_opt());
  EXPECT_FALSE(Ask("opt.example").has_opt());
  EXPECT_TRUE(Ask("opt.example", kA, kEdns).has_opt());
  EXPECT_EQ(asked(), 1u);
}

TEST_F(CacheTest, AHitIsCutToTheClientsBuffer) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) { Address(exchange, 60, 1, test::kRa, 60); };
  EXPECT_EQ(Ask("big.example", kA, kEdns).answers(), 60u);
  const Got cut = Ask("big.example");
  EXPECT_LE(cut.message.size(), 512u);
  EXPECT_EQ(cut.flags() & flag::kTruncated, flag::kTruncated);
  EXPECT_EQ(asked(), 1u);
}

TEST_F(CacheTest, LocalAnswersAreNeitherKeptNorChanged) {
  Use("cache 10");
  upstream_->answer = [](Exchange& exchange) {
    Address(exchange, 30);
    exchange.set_local(true);
  };
  EXPECT_THAT(Ask("local.example").ttls(), ElementsAre(30));
  Ask("local.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, OnlyItsZonesAreKeptAndDisabledOnesNot) {
  Use("cache 30 example.org {\ndisable success no.example.org\ndisable denial\n}");
  AnswerWith(60);
  for (const char* name : {"a.example.com", "a.no.example.org", "a.example.org"}) {
    Ask(name);
    Ask(name);
  }
  EXPECT_EQ(asked(), 5u);
  EXPECT_THAT(Ask("a.example.com").ttls(), ElementsAre(60)) << "not its zone";
  DenyWith(Rcode::kNxDomain, "example.org", 60);
  Ask("x.example.org");
  Ask("x.example.org");
  EXPECT_EQ(asked(), 8u);
}

TEST_F(CacheTest, WhatIsAskedWithoutRecursionIsNotKept) {
  Use("cache 30");
  AnswerWith(60);
  Ask("rd.example", kA, {.flags = 0});
  Ask("rd.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, KeepttlShowsTheWholeTtl) {
  Use("cache 30 {\nkeepttl\n}");
  AnswerWith(60);
  Ask("keep.example");
  Pass(20);
  EXPECT_THAT(Ask("keep.example").ttls(), ElementsAre(30));
  Pass(10);
  Ask("keep.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, PrefetchRenewsWhatIsAskedForOftenBeforeItEnds) {
  Use("cache 100 {\nprefetch 3 1m 10%\n}");
  AnswerWith(100);
  Ask("often.example");
  Pass(89);
  for (int i = 0; i < 5; ++i) Ask("often.example");
  EXPECT_EQ(asked(), 1u) << "11 s are left";
  Pass(1);
  AnswerWith(100, 2);
  EXPECT_EQ(Ask("often.example").last(), 1);
  EXPECT_EQ(asked(), 2u);
  EXPECT_THAT(Ask("often.example").ttls(), ElementsAre(100));
  EXPECT_EQ(Ask("often.example").last(), 2);
  EXPECT_EQ(Metric("coredns_cache_prefetch_total"), 1);
}

TEST_F(CacheTest, PrefetchForgetsAfterAPause) {
  Use("cache 100 {\nprefetch 3 1m 10%\n}");
  AnswerWith(100);
  Ask("seldom.example");
  for (int i = 0; i < 5; ++i) Ask("seldom.example");
  Pass(95);
  Ask("seldom.example");
  Ask("seldom.example");
  EXPECT_EQ(asked(), 1u);
  Ask("seldom.example");
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, OneRefreshIsUnderWayAtATime) {
  Use("cache 100 {\nprefetch 1 1m 90%\n}");
  AnswerWith(100);
  Ask("once.example");
  Pass(50);
  upstream_->wait = true;
  for (int i = 0; i < 5; ++i) Ask("once.example");
  EXPECT_EQ(asked(), 2u);
  upstream_->ResumeAll();
  EXPECT_THAT(Ask("once.example").ttls(), ElementsAre(100));
}

TEST_F(CacheTest, AFailedPrefetchLeavesWhatIsHeld) {
  Use("cache 100 {\nprefetch 1 1m 10%\n}");
  AnswerWith(100);
  Ask("kept.example");
  Pass(95);
  FailWith(true);
  EXPECT_EQ(Ask("kept.example").rcode(), 0);
  EXPECT_EQ(Ask("kept.example").rcode(), 0);
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, ServesStaleAtOnceAndRefreshesBehind) {
  Use("cache 30 {\nsuccess 9984 30 1\nserve_stale 1h\n}");
  AnswerWith(2, 10);
  Ask("short.example");
  Pass(3);
  AnswerWith(2, 15);
  const Got stale = Ask("short.example", kA, kEdns);
  EXPECT_THAT(stale.ttls(), ElementsAre(0));
  EXPECT_EQ(stale.last(), 10);
  EXPECT_EQ(stale.extended_error(), static_cast<int>(ExtendedError::kStaleAnswer));
  const Got next = Ask("short.example");
  EXPECT_THAT(next.ttls(), ElementsAre(2));
  EXPECT_EQ(next.last(), 15);
  Pass(3);
  for (const bool theirs : {true, false}) {
    FailWith(theirs);
    Pass(10);
    const Got down = Ask("short.example");
    EXPECT_EQ(down.rcode(), 0);
    EXPECT_THAT(down.ttls(), ElementsAre(0));
    EXPECT_EQ(down.last(), 15);
  }
  EXPECT_EQ(Metric("coredns_cache_served_stale_total"), 3);
}

TEST_F(CacheTest, AStaleNxdomainIsMarkedAsSuch) {
  Use("cache 30 {\nserve_stale\n}");
  DenyWith(Rcode::kNxDomain, "example", 30);
  Ask("gone.example");
  Pass(31);
  EXPECT_EQ(Ask("gone.example", kA, kEdns).extended_error(),
            static_cast<int>(ExtendedError::kStaleNxDomain));
}

TEST_F(CacheTest, StaleEndsAfterItsDuration) {
  Use("cache 30 {\nserve_stale 1m\n}");
  AnswerWith(30, 1);
  Ask("old.example");
  Pass(90);
  AnswerWith(30, 2);
  EXPECT_EQ(Ask("old.example").last(), 2);
}

TEST_F(CacheTest, ARefreshThatFailedIsNotTriedAgainAtOnce) {
  Use("cache 30 {\nserve_stale\n}");
  AnswerWith(30);
  Ask("down.example");
  Pass(31);
  FailWith(false);
  for (int i = 0; i < 5; ++i) Ask("down.example");
  EXPECT_EQ(asked(), 2u);
  Pass(6);
  Ask("down.example");
  EXPECT_EQ(asked(), 3u);
}

TEST_F(CacheTest, AnAuthoritativeReplyThatCannotBeKeptEndsWhatIsStale) {
  Use("cache 30 {\nserve_stale\n}");
  AnswerWith(30);
  Ask("removed.example");
  Pass(31);
  DenyWith(Rcode::kNxDomain, "", 0);
  EXPECT_EQ(Ask("removed.example").rcode(), 0);
  EXPECT_EQ(Ask("removed.example").rcode(), 3);
}

TEST_F(CacheTest, VerifyAsksFirstAndServesStaleWhenTheUpstreamFails) {
  Use("cache 30 {\nserve_stale 1h verify\n}");
  AnswerWith(30, 1);
  Ask("verified.example");
  Pass(31);
  FailWith(false);
  const Got stale = Ask("verified.example", kA, kEdns);
  EXPECT_EQ(stale.rcode(), 0);
  EXPECT_EQ(stale.last(), 1);
  EXPECT_THAT(stale.ttls(), ElementsAre(0));
  EXPECT_EQ(stale.extended_error(), static_cast<int>(ExtendedError::kStaleAnswer));
  AnswerWith(30, 2);
  EXPECT_EQ(Ask("verified.example").last(), 2);
}

TEST_F(CacheTest, VerifyWithATimeLimitGivesTheAnswerThatComesInTime) {
  Use("cache 30 {\nserve_stale 1h verify 1h\n}");
  AnswerWith(30, 1);
  Ask("timely.example");
  Pass(31);
  AnswerWith(30, 2);
  upstream_->wait = true;
  EXPECT_EQ(Begin("timely.example"), QueryHandler::Outcome::kPending);
  EXPECT_EQ(Begin("Timely.example"), QueryHandler::Outcome::kPending);
  EXPECT_EQ(asked(), 2u) << "both wait for one question";
  upstream_->ResumeAll();
  ASSERT_EQ(later_.size(), 2u);
  EXPECT_EQ(later_[0].last(), 2);
  EXPECT_THAT(later_[1].ttls(), ElementsAre(30));
}

TEST_F(CacheTest, VerifyWithATimeLimitServesStaleWhenTheUpstreamFailsAtOnce) {
  Use("cache 30 {\nserve_stale 1h verify 1h\n}");
  AnswerWith(30, 1);
  Ask("failing.example");
  Pass(31);
  FailWith(false);
  Begin("failing.example");
  ASSERT_EQ(later_.size(), 1u);
  EXPECT_EQ(later_[0].last(), 1);
  EXPECT_EQ(Ask("failing.example").last(), 1) << "and does not wait again at once";
}

TEST_F(CacheTest, VerifyWithATimeLimitServesStaleWhenItIsOver) {
  Use("cache 30 {\nserve_stale 1h verify 1ms\n}");
  AnswerWith(30, 1);
  Ask("late.example");
  Pass(31);
  upstream_->wait = true;
  EXPECT_EQ(Begin("late.example"), QueryHandler::Outcome::kPending);
  Pass(1);
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return !later_.empty(); }));
  EXPECT_EQ(later_[0].last(), 1);
  EXPECT_THAT(later_[0].ttls(), ElementsAre(0));
  AnswerWith(30, 2);
  upstream_->ResumeAll();
  EXPECT_EQ(Ask("late.example").last(), 2) << "the answer is kept all the same";
  EXPECT_EQ(later_.size(), 1u);
}

TEST_F(CacheTest, ClientsThatWaitAreLetGoWithTheCache) {
  Use("cache 30 {\nserve_stale 1h verify 1h\n}");
  AnswerWith(30, 1);
  Ask("waiting.example");
  Pass(31);
  upstream_->wait = true;
  Begin("waiting.example");
  EndChains();
  EXPECT_EQ(forgotten_, 1);
  EXPECT_TRUE(later_.empty());
}

TEST_F(CacheTest, CapacityIsSharedByTheWorkers) {
  Use("cache 30 {\nsuccess 1024\n}", {.workers = 4});
  AnswerWith(60);
  for (int i = 0; i < 300; ++i) Ask("n" + std::to_string(i) + ".example");
  EXPECT_EQ(Metric("coredns_cache_entries"), 256);
  EXPECT_EQ(Metric("coredns_cache_evictions_total"), 44);
}

// What an attacker who owns evil.example would have believed (RFC 5452 6).
TEST_F(CacheTest, RecordsOfOtherNamesInAReplyAnswerNobodyElsesQuestion) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) {
    const std::string victim = *wire::NameToWire("bank.example");
    const std::span owner(reinterpret_cast<const uint8_t*>(victim.data()), victim.size());
    wire::ReplyWriter writer(exchange.query(), exchange.room(), exchange.max_reply_bytes());
    writer.Add(wire::Section::kAnswer, wire::kQuestionName, kA, 60, 4)[3] = 1;
    for (const auto section :
         {wire::Section::kAnswer, wire::Section::kAuthority, wire::Section::kAdditional}) {
      writer.Add(section, owner, kA, 60, 4)[3] = 66;
    }
    exchange.set_reply_bytes(writer.Finish(Rcode::kNoError, test::kRa));
    exchange.set_answered_by_upstream(true);
  };
  Ask("www.evil.example");
  AnswerWith(60, 2);
  EXPECT_EQ(Ask("bank.example").last(), 2);
  EXPECT_EQ(asked(), 2u);
}

TEST_F(CacheTest, RepliesThatAreMalformedAreDroppedFromTheCacheAlone) {
  Use("cache 30");
  upstream_->answer = [](Exchange& exchange) {
    Address(exchange, 60);
    exchange.reply()[13] ^= 1;  // another name
  };
  Ask("drop.example");
  Ask("drop.example");
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(Metric("coredns_cache_drops_total"), 2);
}

}  // namespace
}  // namespace portolan::dns
