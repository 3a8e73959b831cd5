#include <gtest/gtest.h>

#include <array>
#include <string>

#include "dns/plugin.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

class Step : public Plugin {
 public:
  Step(std::string name, Verdict verdict, std::string& trace)
      : name_(std::move(name)), verdict_(verdict), trace_(trace) {}
  std::string_view name() const override { return name_; }
  Verdict OnQuery(Exchange& exchange) override {
    trace_ += name_ + "> ";
    if (verdict_ == Verdict::kAnswered) {
      exchange.set_reply_bytes(
          wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kNoError));
    }
    return verdict_;
  }
  After OnReply(Exchange&) override {
    trace_ += "<" + name_ + " ";
    return After::kReply;
  }

 private:
  std::string name_;
  Verdict verdict_;
  std::string& trace_;
};

class Expecting : public Step {
 public:
  Expecting(bool looks_ahead, std::string& trace)
      : Step("e", Verdict::kNext, trace), looks_ahead_(looks_ahead), trace_(trace) {}
  void Expect(const wire::Query& query) const override {
    trace_ += "expects " + wire::NameToText(query.lower_name());
  }
  bool LooksAhead() const override { return looks_ahead_; }

 private:
  bool looks_ahead_;
  std::string& trace_;
};

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

class ChainRun : public testing::Test {
 protected:
  Verdict Run(const std::vector<Verdict>& verdicts) {
    std::vector<std::unique_ptr<Plugin>> links;
    for (size_t i = 0; i < verdicts.size(); ++i) {
      links.push_back(
          std::make_unique<Step>(std::string(1, static_cast<char>('a' + i)), verdicts[i], trace_));
    }
    chain_ = std::make_unique<Chain>(std::move(links));
    message_ = test::MakeQuery("x", 1);
    wire::ParseQuery(message_, query_);
    exchange_.emplace(query_, SocketAddress(), Transport::kUdp, room_, pool_);
    return chain_->Run(*exchange_);
  }

  std::string trace_;
  std::unique_ptr<Chain> chain_;
  test::Bytes message_;
  wire::Query query_;
  std::array<uint8_t, 512> room_;
  NoPool pool_;
  std::optional<Exchange> exchange_;
};

TEST_F(ChainRun, TheReplyGoesBackThroughTheLinksThatSawTheQuery) {
  EXPECT_EQ(Run({Verdict::kNext, Verdict::kAnswered, Verdict::kNext}), Verdict::kAnswered);
  EXPECT_EQ(trace_, "a> b> <b <a ");
  EXPECT_EQ(exchange_->answered_at(), 2u);
}

TEST_F(ChainRun, WhatNoLinkAnswersIsRefused) {
  EXPECT_EQ(Run({Verdict::kNext, Verdict::kNext}), Verdict::kAnswered);
  EXPECT_EQ(trace_, "a> b> <b <a ");
  EXPECT_EQ(exchange_->reply()[3] & 15, 5);
}

TEST_F(ChainRun, AnEmptyChainRefuses) {
  EXPECT_EQ(Run({}), Verdict::kAnswered);
  EXPECT_EQ(exchange_->reply()[3] & 15, 5);
}

TEST_F(ChainRun, ASuspendedReplyGoesBackFromWhereItWasSuspended) {
  EXPECT_EQ(Run({Verdict::kNext, Verdict::kPending, Verdict::kNext}), Verdict::kPending);
  EXPECT_EQ(trace_, "a> b> ");
  chain_->Up(*exchange_);
  EXPECT_EQ(trace_, "a> b> <b <a ");
}

TEST_F(ChainRun, ADroppedQueryHasNoWayBack) {
  EXPECT_EQ(Run({Verdict::kNext, Verdict::kDropped}), Verdict::kDropped);
  EXPECT_EQ(trace_, "a> b> ");
}

TEST(Chain, TellsThoseThatLookAheadWhatTheyWillBeAsked) {
  std::string trace;
  std::vector<std::unique_ptr<Plugin>> links;
  links.push_back(std::make_unique<Expecting>(false, trace));
  links.push_back(std::make_unique<Expecting>(true, trace));
  const Chain chain(std::move(links));
  const test::Bytes message = test::MakeQuery("Next", 1);
  wire::Query query;
  wire::ParseQuery(message, query);
  chain.Expect(query);
  EXPECT_EQ(trace, "expects next.");
}

}  // namespace
}  // namespace portolan::dns
