#include "dns/plugins/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/block.h"

namespace portolan::dns {
namespace {

using test::AddressBytes;
using test::Bytes;
using test::NameBytes;
using test::operator+;  // NOLINT(misc-unused-using-decls): it does not see this use
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::Rcode;
using wire::Section;
using wire::type::kA;
using wire::type::kAaaa;
using wire::type::kCname;

class RewriteTest : public ::testing::Test {
 protected:
  void Load(std::string_view directives) { EXPECT_EQ(block_.Load(directives), ""); }

  void SayAddress(const std::string& owner, uint32_t ttl = 60) {
    block_.below().says[owner + ". 1"] = {
        Rcode::kNoError, {{Section::kAnswer, owner, kA, ttl, AddressBytes("192.0.2.1")}}};
  }
  // What `name` is asked as.
  std::string AskedAs(std::string_view name, uint16_t type = kA) {
    block_.below().asked.clear();
    block_.Ask(name, type);
    return block_.below().asked.empty() ? "nothing" : block_.below().asked[0];
  }

  test::Block block_;
};

TEST_F(RewriteTest, AnExactNameIsAskedAsAnotherAndTheReplyIsTurnedBack) {
  Load("rewrite name red.example blue.example");
  block_.below().says["blue.example."] = {
      Rcode::kNoError,
      {{Section::kAnswer, "blue.example", kCname, 60, NameBytes("www.blue.example")},
       {Section::kAnswer, "www.blue.example", kA, 60, AddressBytes("192.0.2.1")},
       {Section::kAuthority, "blue.example", wire::type::kNs, 60, NameBytes("ns.other")}}};
  EXPECT_EQ(block_.Ask("Red.example", kA),
            "0\nRed.example. 60 CNAME www.Red.example."
            "\nwww.Red.example. 60 A 192.0.2.1|\nRed.example. 60 NS ns.other.");
  EXPECT_EQ(AskedAs("blue.example"), "blue.example. 1");
  EXPECT_EQ(AskedAs("a.red.example"), "a.red.example. 1") << "not an exact match";
  EXPECT_EQ(block_.Metric("portolan_rewrite_questions_total"), 1);
}

TEST_F(RewriteTest, PrefixSuffixAndSubstringReplaceWhatTheyMatch) {
  Load(
      "rewrite name prefix old new\nrewrite name suffix .schmoogle.com. .google.com.\n"
      "rewrite name substring service.us-west-1 service.eu");
  EXPECT_EQ(AskedAs("old.example.org"), "new.example.org. 1");
  EXPECT_EQ(AskedAs("older.example.org"), "older.example.org. 1") << "the label's end counts";
  EXPECT_EQ(AskedAs("www.Schmoogle.com"), "www.google.com. 1");
  EXPECT_EQ(AskedAs("schmoogle.com"), "schmoogle.com. 1");
  EXPECT_EQ(AskedAs("ftp.service.us-west-1.example"), "ftp.service.eu.example. 1");
}

TEST_F(RewriteTest, ARegexReplacesByGroupsAndAnAnswerRuleTurnsOwnersBack) {
  Load(
      "rewrite stop {\n"
      "  name regex (.*)-(us-west-1)\\.coredns\\.rocks {1}.service.{2}.consul\n"
      "  answer name (.*)\\.service\\.(us-west-1)\\.consul {1}-{2}.coredns.rocks\n}");
  SayAddress("ftp.service.us-west-1.consul");
  EXPECT_EQ(block_.Ask("ftp-us-west-1.coredns.rocks", kA),
            "0\nftp-us-west-1.coredns.rocks. 60 A 192.0.2.1");
}

TEST_F(RewriteTest, WithoutAnAnswerRuleOnlyTheQuestionIsTurnedBack) {
  Load("rewrite name regex (.*)\\.rocks {1}.consul");
  SayAddress("ftp.consul");
  EXPECT_EQ(block_.Ask("ftp.rocks", kA), "0\nftp.consul. 60 A 192.0.2.1");
}

TEST_F(RewriteTest, AutomaticAnswersTurnBackOwnersAndValues) {
  Load(
      "rewrite name suffix .old.test .new.test answer auto\n"
      "rewrite name regex ^a\\.(.*)\\.$ b.{1} answer auto");
  block_.below().says["www.new.test."] = {
      Rcode::kNoError,
      {{Section::kAnswer, "www.new.test", kCname, 60, NameBytes("lb.new.test")},
       {Section::kAnswer, "lb.new.test", kA, 60, AddressBytes("192.0.2.1")}}};
  EXPECT_EQ(block_.Ask("www.old.test", kA),
            "0\nwww.old.test. 60 CNAME lb.old.test.\nlb.old.test. 60 A 192.0.2.1");
  SayAddress("b.example");
  EXPECT_EQ(block_.Ask("a.example", kA), "0\na.example. 60 A 192.0.2.1");
}

TEST_F(RewriteTest, AValueRuleLeavesOwners) {
  Load("rewrite name suffix .old.test .new.test answer value lb\\.new\\.test lb.public.test");
  block_.below().says["www.new.test."] = {
      Rcode::kNoError, {{Section::kAnswer, "www.new.test", kCname, 60, NameBytes("lb.new.test")}}};
  EXPECT_EQ(block_.Ask("www.old.test", kA), "0\nwww.new.test. 60 CNAME lb.public.test.");
}

TEST_F(RewriteTest, TheFirstRuleThatAppliesIsTheLastUnlessItSaysContinue) {
  Load(
      "rewrite name a.test b.test\nrewrite continue name c.test d.test\n"
      "rewrite name b.test x.test\nrewrite stop name d.test e.test\n"
      "rewrite name e.test f.test");
  EXPECT_EQ(AskedAs("a.test"), "b.test. 1");
  EXPECT_EQ(AskedAs("c.test"), "e.test. 1");
  SayAddress("e.test");
  EXPECT_EQ(block_.Ask("c.test", kA), "0\nc.test. 60 A 192.0.2.1") << "both are turned back";
}

TEST_F(RewriteTest, ANameThatCannotBeOneIsServfail) {
  Load("rewrite name regex ^(x+)\\. {1}{1}{1}{1}.test.");
  EXPECT_EQ(block_.Ask(std::string(40, 'x'), kA), "2");
  EXPECT_EQ(block_.Metric("portolan_rewrite_questions_total"), 1);
  EXPECT_EQ(block_.Load("rewrite name dots a..b"), "Corefile:2:19: 'a..b.' has an empty label");
}

TEST_F(RewriteTest, ATypeIsAskedAsAnother) {
  Load("rewrite type ANY HINFO\nrewrite type TYPE65400 A");
  EXPECT_EQ(AskedAs("x.test", wire::type::kAny), "x.test. 13");
  EXPECT_EQ(AskedAs("x.test", 65400), "x.test. 1");
  EXPECT_EQ(AskedAs("x.test", kAaaa), "x.test. 28");
}

TEST_F(RewriteTest, ClassChaosIsAskedAsIn) {
  Load("rewrite continue class CH IN\nrewrite name x.test y.test");
  SayAddress("y.test");
  EXPECT_EQ(block_.Ask("x.test", kA, {.qclass = wire::kClassChaos}), "0\nx.test. 60 A 192.0.2.1");
  Load("rewrite name x.test y.test");
  EXPECT_EQ(block_.Ask("x.test", kA, {.qclass = wire::kClassChaos}), "5");
}

TEST_F(RewriteTest, TtlsAreSetAndBounded) {
  Load(
      "rewrite ttl a.test 15\nrewrite ttl suffix .min.test 30-\n"
      "rewrite ttl regex ^m.*\\.max\\.test\\.$ -20\nrewrite ttl substring between 40-50");
  const auto ttl_of = [&](const std::string& name, uint32_t ttl) {
    SayAddress(name, ttl);
    const std::string reply = block_.Ask(name, kA);
    return std::stoi(reply.substr(3 + name.size() + 1));
  };
  EXPECT_EQ(ttl_of("a.test", 60), 15);
  EXPECT_EQ(ttl_of("b.min.test", 5), 30);
  EXPECT_EQ(ttl_of("b.min.test", 60), 60);
  EXPECT_EQ(ttl_of("m.max.test", 60), 20);
  EXPECT_EQ(ttl_of("x.between", 10), 40);
  EXPECT_EQ(ttl_of("x.between", 100), 50);
  EXPECT_EQ(ttl_of("other.test", 60), 60);
}

TEST_F(RewriteTest, AnRcodeBecomesAnotherOne) {
  Load("rewrite rcode suffix .test SERVFAIL NXDOMAIN\nrewrite rcode other.org 3 0");
  block_.below().says["x.test."] = {Rcode::kServFail, {}};
  EXPECT_EQ(block_.Ask("x.test", kA), "3");
  EXPECT_EQ(block_.Ask("other.org", kA), "0");
  EXPECT_EQ(block_.Ask("another.org", kA), "3");
}

TEST_F(RewriteTest, TheTargetOfACnameIsReplacedAndAsked) {
  Load("rewrite cname suffix .cdn.test .mirror.test");
  block_.below().says["www.test."] = {
      Rcode::kNoError,
      {{Section::kAnswer, "www.test", kCname, 77, NameBytes("w.cdn.test")},
       {Section::kAnswer, "w.cdn.test", kA, 60, AddressBytes("203.0.113.1")}}};
  SayAddress("w.mirror.test");
  EXPECT_EQ(block_.Ask("www.test", kA),
            "0\nwww.test. 77 CNAME w.mirror.test.\nw.mirror.test. 60 A 192.0.2.1");
  SayAddress("plain.test");
  EXPECT_EQ(block_.Ask("plain.test", kA), "0\nplain.test. 60 A 192.0.2.1");
}

TEST_F(RewriteTest, EdnsOptionsAreSetAppendedReplacedAndTakenAway) {
  Load(
      "rewrite continue edns0 local set 0xffee 0x6162\nrewrite continue edns0 local append 65518 "
      "x\n"
      "rewrite continue edns0 local replace 7 x\nrewrite continue edns0 local set 9 {qtype}\n"
      "rewrite edns0 subnet set 20 56");
  block_.Ask("x.test", kA);
  EXPECT_EQ(block_.below().edns_options, (Bytes{0xff, 0xee, 0, 2, 'a', 'b', 0,  9, 0,  2,  0, 1,
                                                0,    8,    0, 7, 0,   1,   20, 0, 10, 42, 0}));
  EXPECT_EQ(wire::Load16(&block_.reply[10]), 0) << "the client sent no OPT and gets none";
  Load("rewrite continue edns0 local set 1 abc\nrewrite edns0 local unset 1");
  block_.Ask("x.test", kA);
  EXPECT_EQ(block_.below().edns_options, Bytes{});
}

TEST_F(RewriteTest, RevertGivesTheClientItsOwnOptionBack) {
  const auto options = [&](std::string_view rules, const Bytes& sent) {
    Load(rules);
    block_.below().echoes_options = true;
    block_.Ask("x.test", kA, {.edns_version = 0, .edns_options = sent});
    return block_.ReplyOptions();
  };
  const Bytes kOwn = {0, 9, 0, 1, 'o'}, kSet = {0, 9, 0, 1, 's'};
  EXPECT_EQ(options("rewrite edns0 local set 9 s", {}), kSet);
  EXPECT_EQ(options("rewrite edns0 local set 9 s revert", {}), Bytes{});
  EXPECT_EQ(options("rewrite edns0 local set 9 s", kOwn), kSet);
  EXPECT_EQ(options("rewrite edns0 local set 9 s revert", kOwn), kOwn);
  EXPECT_EQ(options("rewrite edns0 local unset 9", kOwn), Bytes{});
}

TEST_F(RewriteTest, BadRulesAreErrorsWithTheirPlaceAndTheNearestWord) {
  const auto error = [&](std::string_view line) { return block_.Load(line); };
  EXPECT_EQ(error("rewrite"), "Corefile:2:1: what to rewrite must follow 'rewrite'");
  EXPECT_EQ(
      error("rewrite nam a b"),
      "Corefile:2:9: unknown field 'nam', did you mean 'name'?: name, type, class, ttl, rcode, "
      "cname, edns0");
  EXPECT_EQ(error("rewrite stop answer name a b"),
            "Corefile:2:14: an answer rule stands behind the name rule that it belongs to");
  EXPECT_EQ(error("rewrite name a"), "Corefile:2:9: a name and its replacement must follow 'name'");
  EXPECT_THAT(error("rewrite name sufix a b"),
              HasSubstr("Corefile:2:14: unknown match 'sufix', did you mean 'suffix'?"));
  EXPECT_THAT(error("rewrite name regex ( b"), HasSubstr("Corefile:2:20: '(' is no regular"));
  EXPECT_EQ(error("rewrite name regex (a) {1}{2}"),
            "Corefile:2:24: '{1}{2}' uses group 2; the expression has 1");
  EXPECT_THAT(error("rewrite name exact a b anser auto"), HasSubstr("Corefile:2:24: 'anser'"));
  EXPECT_THAT(error("rewrite name exact a b answer nam x y"),
              HasSubstr("Corefile:2:31: unknown answer rule 'nam', did you mean 'name'?"));
  EXPECT_THAT(error("rewrite name regex a b answer auto answer name x y"),
              HasSubstr("do not go together"));
  EXPECT_EQ(error("rewrite type A AAAAA"),
            "Corefile:2:16: unknown type 'AAAAA', did you mean 'AAAA'?");
  EXPECT_EQ(error("rewrite type A AAAA x"), "Corefile:2:21: 'x': the rule ends before it");
  EXPECT_THAT(error("rewrite ttl a.test 9-5"), HasSubstr("Corefile:2:20: '9-5' is no TTL"));
  EXPECT_THAT(error("rewrite ttl a.test -"), HasSubstr("is no TTL"));
  EXPECT_THAT(error("rewrite rcode a.test NXDOMIAN 0"), HasSubstr("did you mean 'NXDOMAIN'?"));
  EXPECT_THAT(error("rewrite edns0 locl set 1 x"), HasSubstr("did you mean 'local'?"));
  EXPECT_THAT(error("rewrite edns0 local set 70000 x"), HasSubstr("Corefile:2:25: '70000'"));
  EXPECT_THAT(error("rewrite edns0 local set 1 0x123"), HasSubstr("Corefile:2:27: '0x123'"));
  EXPECT_THAT(
      error("rewrite edns0 local set 1 {server_id}"),
      HasSubstr("Corefile:2:27: unknown variable '{server_id}', did you mean '{server_ip}'"));
  EXPECT_THAT(error("rewrite edns0 subnet set 33 56"), HasSubstr("Corefile:2:26: '33'"));
}

TEST_F(RewriteTest, RulesWithoutEffectAreNoted) {
  Load("rewrite class IN CH\nrewrite edns0 nsid set\nrewrite edns0 local set 1 {a/b}");
  EXPECT_THAT(block_.notes, ElementsAre(HasSubstr("Corefile:2:15: rewrite: 'IN': has no effect"),
                                        HasSubstr("Corefile:3:15: rewrite: 'nsid'"),
                                        HasSubstr("Corefile:4:27: rewrite: '{a/b}'")));
}

}  // namespace
}  // namespace portolan::dns
