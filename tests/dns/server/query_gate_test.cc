// What a gate decides is what becomes of a question, however it is asked and answered, and it knows
// of each reply before the client does.
#include "dns/server/query_gate.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::CorefileServer;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::type::kA;

constexpr test::QueryShape kEdns{.edns_version = 0};

class FakeGate : public QueryGate {
 public:
  Decision OnQuery(const Exchange& exchange, Asker asker) override {
    asked.push_back(wire::NameToText(exchange.query().lower_name()) +
                    (asker == Asker::kExplained ? " explained" : ""));
    return decision;
  }
  void OnReply(const Exchange& exchange) override {
    std::string told = wire::NameToText(exchange.query().lower_name());
    for (const std::string& record :
         test::Answers({exchange.reply().begin(), exchange.reply().end()})) {
      told += "|" + record;
    }
    replies.push_back(told);
  }

  Decision decision;
  std::vector<std::string> asked, replies;
};

class FakeObserver : public ReplyObserver {
 public:
  void OnReply(const Exchange& exchange, uint32_t) override {
    rcodes.push_back(exchange.reply()[3] & 15);
  }
  std::vector<int> rcodes;
};

class GateTest : public testing::Test {
 protected:
  GateTest() {
    server_.upstream().udp = [this](const Bytes& query) {
      ++upstream_;
      return std::vector<Bytes>{test::Answer(query, 1)};
    };
  }

  FakeGate gate_;
  FakeObserver observer_;
  CorefileServer server_{".:53 {\n  cache 30\n  forward . UPSTREAM\n}\n", {&observer_, &gate_}};
  int upstream_ = 0;
};

TEST_F(GateTest, ARefusedQuestionReachesNoLinkAndIsToldWhy) {
  gate_.decision = {QueryGate::Ruling::kRefused, "DNSEgressPolicy/default/apis"};
  const Bytes reply = server_.Ask("www.example.com", kA, kEdns);
  EXPECT_EQ(test::RcodeOf(reply), 5);
  EXPECT_EQ(test::ExtendedErrorOf(reply), "18 DNSEgressPolicy/default/apis");
  EXPECT_EQ(upstream_, 0);
  EXPECT_THAT(gate_.replies, IsEmpty());
  EXPECT_THAT(observer_.rcodes, ElementsAre(5)) << "it is a reply as others are";
  EXPECT_EQ(server_.Metric("coredns_dns_responses_total"), 1);
}

TEST_F(GateTest, NxdomainComesWithoutASoaAndWithoutAReasonWhereThereIsNone) {
  gate_.decision = {QueryGate::Ruling::kNxDomain};
  const Bytes reply = server_.Ask("www.example.com.corp.test", kA, kEdns);
  EXPECT_EQ(test::RcodeOf(reply), 3);
  EXPECT_NE(test::FlagsOf(reply) & wire::flag::kRecursionAvailable, 0);
  EXPECT_EQ(test::ExtendedErrorOf(reply), "none");
  EXPECT_THAT(test::Authority(reply), IsEmpty());
  EXPECT_EQ(upstream_, 0);
}

TEST_F(GateTest, TheReplyToAQuestionThatPassedIsToldBeItLateOrOfTheCache) {
  for (const Transport transport : {Transport::kUdp, Transport::kTcp}) {
    const Bytes reply = server_.Ask(test::MakeQuery("www.example.com", kA), transport);
    EXPECT_EQ(test::Answers(reply).size(), 1u);
    ASSERT_EQ(gate_.replies.size(), transport == Transport::kUdp ? 1u : 2u);
    EXPECT_EQ(gate_.replies.back(), "www.example.com.|" + test::Answers(reply)[0]);
  }
  EXPECT_EQ(upstream_, 1);
  EXPECT_THAT(gate_.asked, ElementsAre("www.example.com.", "www.example.com."));
}

TEST_F(GateTest, TheNameIsTheOneThatTheClientAsked) {
  server_.Use(".:53 {\n  rewrite name alias.test www.example.com\n  forward . UPSTREAM\n}\n");
  server_.Ask("Alias.test", kA);
  EXPECT_THAT(gate_.asked, ElementsAre("alias.test."));
  ASSERT_EQ(gate_.replies.size(), 1u);
  EXPECT_TRUE(gate_.replies[0].starts_with("alias.test.|")) << gate_.replies[0];
}

TEST_F(GateTest, AQuestionThatIsExplainedIsAskedAboutAndTeachesNothing) {
  server_.Explain("www.example.com", kA);
  EXPECT_THAT(gate_.asked, ElementsAre("www.example.com. explained"));
  EXPECT_THAT(gate_.replies, IsEmpty());
  gate_.decision = {QueryGate::Ruling::kRefused, "no"};
  const Trace trace = server_.Explain("denied.example.com", kA);
  EXPECT_EQ(trace.plugin, "");
  EXPECT_EQ(trace.gate, "no");
  EXPECT_EQ(upstream_, 1);
  server_.Ask("www.example.com", kA);
  EXPECT_EQ(gate_.asked.back(), "www.example.com.");
}

TEST_F(GateTest, ANameThatIsToBeAskedAsItIsIsNotCompleted) {
  server_.upstream().udp = [this](const Bytes& query) {
    ++upstream_;
    return std::vector<Bytes>{test::Answer(query, 0, wire::Rcode::kNxDomain)};
  };
  const std::string file = testing::TempDir() + "portolan-query-gate-resolv.conf";
  std::ofstream(file) << "search a.test b.test\n";
  server_.Use(".:53 {\n  autopath " + file + "\n  forward . UPSTREAM\n}\n");
  gate_.decision = {.as_asked = true};
  EXPECT_EQ(test::RcodeOf(server_.Ask("www.a.test", kA)), 3);
  EXPECT_EQ(upstream_, 1);
  gate_.decision = {};
  server_.Ask("www.a.test", kA);
  EXPECT_GT(upstream_, 2);
  std::remove(file.c_str());
}

}  // namespace
}  // namespace portolan::dns
