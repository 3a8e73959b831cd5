// Exchanges that do not go straight down and up: links that ask something else first, waits that
// end in other ways than with an answer, questions without a client, streams.
#include "dns/server/walk.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "dns/server/query_handler.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using wire::Rcode;

std::string NameOf(const Exchange& exchange) {
  return wire::NameToText(exchange.query().lower_name());
}

std::span<const uint8_t> Bytewise(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

void Answer(Exchange& exchange, Rcode rcode) {
  exchange.set_reply_bytes(wire::WriteEmptyReply(exchange.query(), exchange.room(), rcode));
}

// A link that does as the test says.
class Scripted : public Plugin {
 public:
  std::function<Verdict(Exchange&)> on_query = [](Exchange&) { return Verdict::kNext; };
  std::function<After(Exchange&)> on_reply = [](Exchange&) { return After::kReply; };
  bool chaos = false;

  std::string_view name() const override { return "scripted"; }
  Verdict OnQuery(Exchange& exchange) override { return on_query(exchange); }
  After OnReply(Exchange& exchange) override { return on_reply(exchange); }
  bool TakesChaos() const override { return chaos; }
};

class WalkTest : public testing::Test, public ReplySink {
 protected:
  WalkTest() {
    std::vector<std::unique_ptr<Plugin>> links;
    for (Scripted** link : {&top_, &middle_, &bottom_}) {
      auto made = std::make_unique<Scripted>();
      *link = made.get();
      links.push_back(std::move(made));
    }
    handler_.SetChains({{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))}});
    top_->on_reply = [this](Exchange& exchange) {
      seen_above_.push_back(NameOf(exchange));
      return After::kReply;
    };
    bottom_->on_query = [this](Exchange& exchange) {
      asked_.push_back(NameOf(exchange));
      if (wait_) {
        waiting_ = exchange.Suspend();
        return Verdict::kPending;
      }
      Answer(exchange, RcodeFor(exchange));
      return Verdict::kAnswered;
    };
  }

  // Completes a name as autopath does: a.example, then b.example, until one exists.
  void CompleteInTheMiddle() {
    middle_->on_query = [this](Exchange& exchange) {
      EXPECT_TRUE(exchange.AskInstead(Bytewise(first_), wire::type::kA, 1));
      return Verdict::kNext;
    };
    middle_->on_reply = [this](Exchange& exchange) {
      EXPECT_TRUE(exchange.asked_instead().has_value());
      if ((exchange.reply()[3] & 15) == 3 && exchange.asked_instead() == 1u) {
        exchange.SetInstead(Bytewise(second_), wire::type::kAaaa, 2);
        return After::kAskBelow;
      }
      exchange.TakeBack();
      Answer(exchange, Rcode::kNoError);
      return After::kReply;
    };
  }

  Rcode RcodeFor(const Exchange& exchange) {
    return NameOf(exchange) == "a.example." ? Rcode::kNxDomain : Rcode::kNoError;
  }

  QueryHandler::Handled Ask(std::string_view name, const test::QueryShape& shape = {},
                            Transport transport = Transport::kUdp) {
    message_ = test::MakeQuery(name, wire::type::kA, shape);
    return handler_.Handle(message_, {}, transport, room_, {this, {}, 7});
  }

  // What the waiting exchange was moved from is gone by now.
  void ForgetTheMessage() {
    std::fill(message_.begin(), message_.end(), 0xee);
    room_.assign(room_.size(), 0xee);
  }

  void SendReply(const ReplyTo&, const SocketAddress&, std::span<const uint8_t> reply) override {
    replies_.emplace_back(reply.begin(), reply.end());
  }
  void Forget(const ReplyTo&) override { ++forgotten_; }

  const std::string first_ = *wire::NameToWire("a.example");
  const std::string second_ = *wire::NameToWire("b.example");
  Scripted* top_ = nullptr;
  Scripted* middle_ = nullptr;
  Scripted* bottom_ = nullptr;
  bool wait_ = false;
  Suspended* waiting_ = nullptr;
  std::vector<std::string> asked_, seen_above_;
  std::vector<Bytes> replies_;
  int forgotten_ = 0;
  Bytes message_;
  std::vector<uint8_t> room_ = std::vector<uint8_t>(wire::kMaxMessageBytes);
  ZoneCounterTable counters_;
  SlotPool slots_{16, 4};
  QueryHandler handler_{slots_, counters_};
};

TEST_F(WalkTest, ALinkMayAskOtherQuestionsAndTheLinksAboveSeeOnlyTheClients) {
  CompleteInTheMiddle();
  const auto handled = Ask("short");
  EXPECT_EQ(handled.outcome, QueryHandler::Outcome::kReply);
  EXPECT_EQ(asked_, (std::vector<std::string>{"a.example.", "b.example."}));
  EXPECT_EQ(seen_above_, std::vector<std::string>{"short."});
  EXPECT_EQ(room_[3] & 15, 0);
  EXPECT_EQ(std::string(&room_[13], &room_[18]), "short");
}

TEST_F(WalkTest, TheOtherQuestionsOutliveTheMessageWhenTheExchangeWaits) {
  CompleteInTheMiddle();
  wait_ = true;
  EXPECT_EQ(Ask("short").outcome, QueryHandler::Outcome::kPending);
  ForgetTheMessage();
  Suspended* first = waiting_;
  Answer(first->exchange(), RcodeFor(first->exchange()));
  first->Resume();
  EXPECT_EQ(waiting_, first) << "it waits again, in the slot it has";
  EXPECT_EQ(slots_.in_use(), 1u);
  EXPECT_EQ(waiting_->exchange().query().type, wire::type::kAaaa);
  Answer(waiting_->exchange(), RcodeFor(waiting_->exchange()));
  waiting_->Resume();
  EXPECT_EQ(asked_, (std::vector<std::string>{"a.example.", "b.example."}));
  EXPECT_EQ(seen_above_, std::vector<std::string>{"short."});
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_EQ(std::string(&replies_[0][13], &replies_[0][18]), "short");
  EXPECT_EQ(slots_.in_use(), 0u);
}

TEST_F(WalkTest, QuestionsNestToALimit) {
  size_t depth = 0;
  bottom_->on_query = [&](Exchange& exchange) {
    while (exchange.AskInstead(Bytewise(first_), wire::type::kA, 0)) ++depth;
    while (exchange.asked_instead()) exchange.TakeBack();
    Answer(exchange, Rcode::kNoError);
    return Verdict::kAnswered;
  };
  Ask("x");
  EXPECT_EQ(depth, Questions::kMax);
}

TEST_F(WalkTest, AWaitMayEndWithTheNextLink) {
  middle_->on_query = [this](Exchange& exchange) {
    waiting_ = exchange.Suspend();
    return Verdict::kPending;
  };
  EXPECT_EQ(Ask("x").outcome, QueryHandler::Outcome::kPending);
  waiting_->Pass();
  EXPECT_EQ(asked_, std::vector<std::string>{"x."});
  EXPECT_EQ(replies_.size(), 1u);
}

TEST_F(WalkTest, AWaitMayEndWithTheSameLinkOnceMore) {
  int calls = 0;
  middle_->on_query = [&](Exchange& exchange) {
    if (++calls == 2) return Verdict::kNext;
    waiting_ = exchange.Suspend();
    return Verdict::kPending;
  };
  Ask("x");
  waiting_->Retry();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(replies_.size(), 1u);
}

TEST_F(WalkTest, AQuestionInTheBackgroundReachesTheLinksBelowAndComesBackToTheOneThatAsked) {
  std::vector<std::string> in_background;
  middle_->on_query = [&](Exchange& exchange) {
    EXPECT_TRUE(exchange.AskInBackground());
    EXPECT_TRUE(exchange.AskInBackground(Bytewise(second_), wire::type::kAaaa));
    Answer(exchange, Rcode::kNoError);
    return Verdict::kAnswered;
  };
  middle_->on_reply = [&](Exchange& exchange) {
    if (exchange.in_background()) in_background.push_back(NameOf(exchange));
    return After::kReply;
  };
  EXPECT_EQ(Ask("x").outcome, QueryHandler::Outcome::kReply);
  EXPECT_EQ(asked_, (std::vector<std::string>{"x.", "b.example."}));
  EXPECT_EQ(in_background, asked_);
  EXPECT_EQ(seen_above_, std::vector<std::string>{"x."}) << "the client's alone";
  EXPECT_EQ(slots_.in_use(), 0u);
}

TEST_F(WalkTest, QuestionsInTheBackgroundLeaveSlotsForClients) {
  wait_ = true;
  int begun = 0;
  middle_->on_query = [&](Exchange& exchange) {
    while (exchange.AskInBackground()) ++begun;
    Answer(exchange, Rcode::kNoError);
    return Verdict::kAnswered;
  };
  Ask("x");
  EXPECT_EQ(begun, 2) << "an eighth of 16";
}

TEST_F(WalkTest, ClassChaosReachesOnlyLinksThatTakeIt) {
  Ask("version.bind", {.qclass = wire::kClassChaos});
  EXPECT_EQ(room_[3] & 15, static_cast<int>(Rcode::kRefused));
  EXPECT_TRUE(asked_.empty());
  bottom_->chaos = true;
  Ask("version.bind", {.qclass = wire::kClassChaos});
  EXPECT_EQ(room_[3] & 15, 0);
  EXPECT_EQ(asked_, std::vector<std::string>{"version.bind."});
  EXPECT_TRUE(seen_above_.empty());
}

class OneMessage : public ReplyStream {
 public:
  size_t Next(std::span<uint8_t>) override { return 0; }
};

TEST_F(WalkTest, AStreamIsForTcpAlone) {
  bottom_->on_query = [](Exchange& exchange) {
    exchange.set_stream(std::make_shared<OneMessage>());
    return Verdict::kStream;
  };
  EXPECT_EQ(Ask("x").outcome, QueryHandler::Outcome::kSilence);
  const auto handled = Ask("x", {}, Transport::kTcp);
  EXPECT_EQ(handled.outcome, QueryHandler::Outcome::kStream);
  EXPECT_NE(handled.stream, nullptr);
}

}  // namespace
}  // namespace portolan::dns
