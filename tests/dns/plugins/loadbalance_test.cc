#include "dns/plugins/loadbalance.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "dns/wire/message.h"
#include "tests/conformance/records.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::RecordsOf;
using wire::Section;

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

class LoadbalanceReply : public testing::Test {
 protected:
  LoadbalanceReply() : message_(test::MakeQuery("a.example", wire::type::kA)) {
    wire::ParseQuery(message_, query_);
  }

  // A CNAME and then `addresses` A records of its target, then a second RRset.
  std::vector<std::string> Reply(uint8_t addresses) {
    wire::ReplyWriter writer(query_, room_, 4096);
    const std::string target = *wire::NameToWire("b.example");
    auto cname =
        writer.Add(Section::kAnswer, wire::kQuestionName, wire::type::kCname, 5, target.size());
    std::copy(target.begin(), target.end(), cname.begin());
    const uint16_t owner = writer.OffsetOf(cname.data());
    for (uint8_t i = 0; i < addresses; ++i) {
      auto rdata = writer.Add(Section::kAnswer, owner, wire::type::kA, 5, 4);
      rdata[0] = 10, rdata[1] = rdata[2] = 0, rdata[3] = i;
    }
    auto other = writer.Add(Section::kAnswer, wire::kQuestionName, wire::type::kA, 5, 4);
    std::fill(other.begin(), other.end(), uint8_t{9});
    Exchange exchange(query_, SocketAddress(), Transport::kUdp, room_, pool_);
    exchange.set_reply_bytes(writer.Finish(wire::Rcode::kNoError, 0));
    plugin_.OnReply(exchange);
    return RecordsOf(exchange.reply(), Section::kAnswer);
  }

  Bytes message_;
  wire::Query query_;
  std::array<uint8_t, 4096> room_;
  NoPool pool_;
  Loadbalance plugin_{1};
};

TEST_F(LoadbalanceReply, EachAddressComesFirstAboutAsOften) {
  std::map<std::string, int> first;
  for (int i = 0; i < 3000; ++i) ++first[Reply(3)[1]];
  ASSERT_EQ(first.size(), 3u);
  for (const auto& [record, times] : first) EXPECT_NEAR(times, 1000, 150) << record;
}

TEST_F(LoadbalanceReply, KeepsTheSetTheAliasInFrontAndOtherSetsAlone) {
  for (uint8_t n = 0; n < 8; ++n) {
    for (int i = 0; i < 20; ++i) {
      const auto records = Reply(n);
      ASSERT_EQ(records.size(), n + 2u);
      EXPECT_EQ(records.front(), "a.example. 5 CNAME b.example.");
      EXPECT_EQ(records.back(), "a.example. 5 A 9.9.9.9");
      std::set<std::string> set(records.begin() + 1, records.end() - 1);
      EXPECT_EQ(set.size(), n);
    }
  }
}

TEST(LoadbalanceConfig, KnowsRoundRobinOnly) {
  const auto file = std::make_shared<const std::string>("Corefile");
  corefile::Directive directive{{"loadbalance", file, 7, 1}, {}, {}};
  EXPECT_TRUE(ParseLoadbalance(directive, nullptr).ok());
  directive.arguments = {{"round_robin", file, 7, 13}};
  EXPECT_TRUE(ParseLoadbalance(directive, nullptr).ok());
  directive.arguments = {{"robin", file, 7, 13}};
  EXPECT_EQ(Message(ParseLoadbalance(directive, nullptr)).substr(0, 14), "Corefile:7:13:");
  std::vector<std::string> notes;
  directive.arguments = {{"weighted", file, 7, 13}};
  EXPECT_TRUE(ParseLoadbalance(directive, &notes).ok());
  EXPECT_EQ(notes.size(), 1u);
}

}  // namespace
}  // namespace portolan::dns
