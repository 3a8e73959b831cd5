#include "dns/plugins/loadbalance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <set>

#include "dns/wire/message.h"
#include "tests/conformance/records.h"
#include "tests/dns/plugins/corefile_server.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::ErrorOf;
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
    if (!plugin_.has_value()) plugin_.emplace(1, config_);
    plugin_->OnReply(exchange);
    return RecordsOf(exchange.reply(), Section::kAnswer);
  }

  // `addresses` records of the name that was asked, and nothing else.
  std::vector<std::string> PlainReply(uint16_t type, uint8_t addresses) {
    wire::ReplyWriter writer(query_, room_, 4096);
    for (uint8_t i = 0; i < addresses; ++i) {
      auto rdata = writer.Add(Section::kAnswer, wire::kQuestionName, type, 5,
                              type == wire::type::kA ? 4 : 16);
      std::fill(rdata.begin(), rdata.end(), uint8_t{10});
      rdata.back() = i;
    }
    Exchange exchange(query_, SocketAddress(), Transport::kUdp, room_, pool_);
    exchange.set_reply_bytes(writer.Finish(wire::Rcode::kNoError, 0));
    if (!plugin_.has_value()) plugin_.emplace(1, config_);
    plugin_->OnReply(exchange);
    return RecordsOf(exchange.reply(), Section::kAnswer);
  }

  Bytes message_;
  wire::Query query_;
  std::array<uint8_t, 4096> room_;
  NoPool pool_;
  LoadbalanceConfig config_;
  std::optional<Loadbalance> plugin_;
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

TEST_F(LoadbalanceReply, EveryOrderIsAsLikelyAsAnyOther) {
  std::map<std::vector<std::string>, int> orders;
  for (int i = 0; i < 6000; ++i) ++orders[Reply(3)];
  ASSERT_EQ(orders.size(), 6u);
  for (const auto& [order, times] : orders) EXPECT_NEAR(times, 1000, 150);
}

TEST_F(LoadbalanceReply, AnswersOfAddressesAloneAreShuffledToo) {
  for (const uint16_t type : {wire::type::kA, wire::type::kAaaa}) {
    std::set<std::vector<std::string>> orders;
    for (int i = 0; i < 200; ++i) orders.insert(PlainReply(type, 3));
    EXPECT_EQ(orders.size(), 6u);
    std::set<std::string> sorted;
    for (const auto& order : orders) sorted.insert(order.begin(), order.end());
    EXPECT_EQ(sorted.size(), 3u) << "each is there in every order";
  }
}

TEST_F(LoadbalanceReply, AnswersOfAddressesAloneHeedPreferredBlocks) {
  config_.prefer = {*Cidr::Parse("10.10.10.2/32")};
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(PlainReply(wire::type::kA, 3).front(), testing::HasSubstr("10.10.10.2"));
  }
}

TEST_F(LoadbalanceReply, WeightsSayHowOftenEachComesFirst) {
  auto weights = Weights::Parse("# ours\n\nB.example.\n10.0.0.0 3\n10.0.0.1 2\n", "weights");
  ASSERT_TRUE(weights.ok()) << weights.status();
  config_.weights = std::make_shared<const Weights>(*weights);
  std::map<std::string, int> first;
  for (int i = 0; i < 6000; ++i) ++first[Reply(3)[1]];
  EXPECT_NEAR(first["b.example. 5 A 10.0.0.0"], 3000, 200);
  EXPECT_NEAR(first["b.example. 5 A 10.0.0.1"], 2000, 200);
  EXPECT_NEAR(first["b.example. 5 A 10.0.0.2"], 1000, 200);
}

TEST_F(LoadbalanceReply, PreferredBlocksComeFirstInTheirOrder) {
  config_.prefer = {*Cidr::Parse("10.0.0.4/30"), *Cidr::Parse("10.0.0.0/31")};
  for (int i = 0; i < 20; ++i) {
    const auto records = Reply(6);
    std::set<std::string> first(records.begin() + 1, records.begin() + 3);
    EXPECT_EQ(first, (std::set<std::string>{"b.example. 5 A 10.0.0.4", "b.example. 5 A 10.0.0.5"}));
    std::set<std::string> next(records.begin() + 3, records.begin() + 5);
    EXPECT_EQ(next, (std::set<std::string>{"b.example. 5 A 10.0.0.0", "b.example. 5 A 10.0.0.1"}));
  }
}

TEST(LoadbalanceWeights, NameTheLineThatIsWrong) {
  auto error = [](std::string_view text) {
    return std::string(Message(Weights::Parse(text, "weights").status()));
  };
  EXPECT_EQ(error("a.org\n10.0.0.1 256"), "weights:2: '256' is not a weight from 1 to 255");
  EXPECT_EQ(error("a.org\n10.0.0.1 0"), "weights:2: '0' is not a weight from 1 to 255");
  EXPECT_EQ(error("10.0.0.1"), "weights:1: '10.0.0.1' is an address without a weight");
  EXPECT_EQ(error("10.0.0.1 1"), "weights:1: a name must stand before its addresses");
  EXPECT_EQ(error("a.org b c"), "weights:1: 'c': a name, or an address and a weight");
}

TEST(LoadbalanceCorefile, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf("loadbalance"), "no error");
  EXPECT_EQ(ErrorOf("loadbalance round_robin {\n prefer 10.0.0.0/8 fd00::/8\n}"), "no error");
  EXPECT_EQ(ErrorOf("loadbalance weighted /dev/null {\n reload 10s\n}"), "no error");
  EXPECT_EQ(ErrorOf("loadbalance round_robbin"),
            "Corefile:2:13: unknown word 'round_robbin' in loadbalance, did you mean "
            "'round_robin'?");
  EXPECT_EQ(ErrorOf("loadbalance weighted"), "Corefile:2:13: weighted needs a file");
  EXPECT_EQ(ErrorOf("loadbalance weighted /nowhere"), "no error") << "it may come";
  EXPECT_EQ(ErrorOf("loadbalance weighted /nowhere {\n reload 0\n}").substr(0, 14),
            "Corefile:2:22:");
  EXPECT_EQ(ErrorOf("loadbalance {\n prefr ::/0\n}"),
            "Corefile:3:2: unknown option 'prefr' of loadbalance, did you mean 'prefer'?");
  EXPECT_EQ(ErrorOf("loadbalance {\n prefer here\n}").substr(0, 13), "Corefile:3:9:");
}

}  // namespace
}  // namespace portolan::dns
