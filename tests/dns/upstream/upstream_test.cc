#include "dns/upstream/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>

#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::upstream {
namespace {

using test::Answer;
using test::AskingUpstreams;
using test::Bytes;
using test::Client;
using test::kEdns;
using test::MakeQuery;
using test::Metric;
using test::QueryShape;
using test::Servers;
using test::Silence;
using wire::Rcode;
using wire::type::kA;

using UpstreamTest = AskingUpstreams;

TEST_F(UpstreamTest, AnAnswerCarriesTheClientsIdAndSpelling) {
  Upstream upstream(loop_);
  Servers servers(Both(), upstream);
  const Bytes query = MakeQuery("Www.ExaMple.org", kA);
  Client& client = clients_.Make(query);
  Ask(upstream, servers, client);
  const Bytes reply = client.reply();
  ASSERT_GT(reply.size(), query.size());
  EXPECT_EQ(wire::Load16(reply.data()), 0x1234);
  EXPECT_TRUE(std::equal(query.begin() + 12, query.end(), reply.begin() + 12));
  EXPECT_EQ(client.answers(), 1);
  EXPECT_EQ(client.flags(), 0x8180);  // QR, RD, RA; not AA
  EXPECT_EQ(upstream.flights(), 0u);
}

TEST_F(UpstreamTest, EachQuestionHasItsOwnPortAndId) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  for (int i = 0; i < 20; ++i) {
    Ask(upstream, servers, clients_.Make(MakeQuery("n" + std::to_string(i) + ".example", kA)));
  }
  std::set<uint16_t> ids;
  for (const Bytes& query : a_.udp_queries) ids.insert(wire::Load16(query.data()));
  const std::set<uint16_t> ports(a_.client_ports.begin(), a_.client_ports.end());
  EXPECT_EQ(a_.udp_queries.size(), 20u);
  EXPECT_GE(ids.size(), 19u);
  EXPECT_GE(ports.size(), 15u);  // a port may come again once its socket is closed
}

TEST_F(UpstreamTest, IdsComeFromTheRandomSource) {
  UpstreamOptions options;
  options.random = [](std::span<uint8_t> out) { std::fill(out.begin(), out.end(), 0xab); };
  Upstream upstream(loop_, options);
  Servers servers(OnlyA(), upstream);
  Ask(upstream, servers, clients_.Make(MakeQuery("x.example", kA)));
  EXPECT_EQ(wire::Load16(a_.udp_queries.at(0).data()), 0xabab);
}

TEST_F(UpstreamTest, AWrongIdIsWaitedPast) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    Bytes forged = Answer(query, 5);
    forged[0] ^= 0xff;
    return std::vector<Bytes>{forged, Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(250));
  EXPECT_EQ(client.answers(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "wrong_id"), 1u);
}

TEST_F(UpstreamTest, AWrongQuestionIsWaitedPast) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    QueryShape shape;
    shape.id = wire::Load16(query.data());
    return std::vector<Bytes>{Answer(MakeQuery("y.example", kA, shape), 5),
                              Answer(MakeQuery("x.example", wire::type::kAaaa, shape), 6),
                              Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "wrong_question"), 2u);
}

TEST_F(UpstreamTest, ALetterCaseFoldedByTheUpstreamIsNoWrongQuestion) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    Bytes reply = Answer(query);
    reply[13] = 'X';
    return std::vector<Bytes>{reply};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.reply()[13], 'x');
}

TEST_F(UpstreamTest, AMalformedReplyIsWaitedPast) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    Bytes cut = Answer(query, 3);
    cut.resize(cut.size() - 17);
    return std::vector<Bytes>{cut, query, Bytes{1, 2, 3}, Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "malformed"), 3u);
}

TEST_F(UpstreamTest, AReplyFromAnotherAddressIsNotSeen) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [&](const Bytes& query) {
    b_.last_client = a_.last_client;
    b_.SendUdp(Answer(query, 9));
    return std::vector<Bytes>{Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 2);
}

TEST_F(UpstreamTest, ASilentServerIsHedgedAfter300Milliseconds) {
  Upstream upstream(loop_);
  Servers servers(Both(), upstream);
  a_.udp = Silence;
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  const absl::Duration took = Ask(upstream, servers, client);
  EXPECT_GE(took, absl::Milliseconds(299));
  EXPECT_LT(took, absl::Milliseconds(400));
  EXPECT_EQ(client.answers(), 1);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_hedged_total"), 1u);
}

TEST_F(UpstreamTest, ASlowFirstServersAnswerStillCounts) {
  UpstreamOptions options;
  options.hedge_delay = absl::Milliseconds(20);
  Upstream upstream(loop_, options);
  Servers servers(Both(), upstream);
  b_.udp = Silence;
  Bytes late;
  sockaddr_in asker{};
  a_.udp = [&](const Bytes& query) {
    if (late.empty()) {
      late = Answer(query, 3);
      asker = a_.last_client;
    }
    return std::vector<Bytes>{};
  };
  // The server is asked again meanwhile, from other ports; its late reply is to the first.
  EventLoop::Timer timer = loop_.AddTimer([&] {
    a_.last_client = asker;
    a_.SendUdp(late);
  });
  timer.Start(absl::Milliseconds(30));
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 3);
}

TEST_F(UpstreamTest, ALostDatagramToTheOnlyServerIsSentAgain) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [&](const Bytes& query) {
    return a_.udp_queries.size() < 2 ? std::vector<Bytes>{} : std::vector<Bytes>{Answer(query)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(400));
  EXPECT_EQ(client.rcode(), 0);
}

TEST_F(UpstreamTest, ARefusedPortMovesOnAtOnce) {
  Upstream upstream(loop_);
  Servers servers({{Nobody(), a_.address}}, upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(200));
  EXPECT_EQ(client.answers(), 1);
}

TEST_F(UpstreamTest, AllPortsRefusedIsServfailAtOnce) {
  Upstream upstream(loop_);
  Servers servers({{Nobody()}}, upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(200));
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_questions_total", "unreachable"), 1u);
}

TEST_F(UpstreamTest, WhatCannotBeSentIsServfailAndNotAnsweredInsideAsk) {
  Upstream upstream(loop_);
  // Nothing can be sent to port 0.
  Servers servers({{SocketAddress{*IpAddress::Parse("127.0.0.1"), 0}}}, upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  ASSERT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kPending);
  EXPECT_EQ(client.resumed, 0);
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return client.done(); }));
  EXPECT_EQ(client.rcode(), 2);
}

TEST_F(UpstreamTest, TheDeadlineIsServfail) {
  UpstreamOptions options;
  options.deadline = absl::Milliseconds(150);
  options.hedge_delay = absl::Milliseconds(30);
  Upstream upstream(loop_, options);
  Servers servers(Both(), upstream);
  a_.udp = b_.udp = Silence;
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  const absl::Duration took = Ask(upstream, servers, client);
  EXPECT_GE(took, absl::Milliseconds(149));
  EXPECT_LT(took, absl::Milliseconds(250));
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(client.reply().size(), 12u + 11 + 4);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_questions_total", "timed_out"), 1u);
  EXPECT_EQ(upstream.flights(), 0u);
}

TEST_F(UpstreamTest, ATruncatedReplyIsFetchedOverTcp) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    return std::vector<Bytes>{Answer(query, 0, Rcode::kNoError, wire::flag::kTruncated)};
  };
  a_.tcp = [](const Bytes& query) { return std::vector<Bytes>{Answer(query, 500)}; };
  Client& client = clients_.Make(MakeQuery("x.example", kA), 65535);
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 500);
  EXPECT_EQ(client.flags() & wire::flag::kTruncated, 0);
  EXPECT_EQ(a_.tcp_queries.size(), 1u);
}

TEST_F(UpstreamTest, WithoutTcpATruncatedReplyIsPassedOnAsItIs) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  a_.udp = [](const Bytes& query) {
    return std::vector<Bytes>{Answer(query, 1, Rcode::kNoError, wire::flag::kTruncated)};
  };
  a_.CloseTcp();
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.rcode(), 0);
  EXPECT_NE(client.flags() & wire::flag::kTruncated, 0);
}

TEST_F(UpstreamTest, TcpAloneIsUsedWhereAskedFor) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 1);
  EXPECT_TRUE(a_.udp_queries.empty());
}

TEST_F(UpstreamTest, TheSameQuestionIsAskedOnce) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  QueryShape other;
  other.id = 0x4321;
  Client& first = clients_.Make(MakeQuery("x.example", kA));
  Client& second = clients_.Make(MakeQuery("X.EXAMPLE", kA, other));
  upstream.Ask(servers, first.exchange());
  upstream.Ask(servers, second.exchange());
  EXPECT_EQ(upstream.flights(), 1u);
  EXPECT_EQ(servers.waiting(), 2u);
  test::RunUntil(loop_, [&] { return first.done() && second.done(); });
  EXPECT_EQ(a_.udp_queries.size(), 1u);
  EXPECT_EQ(wire::Load16(second.reply().data()), 0x4321);
  EXPECT_EQ(second.reply()[13], 'X');
  EXPECT_EQ(first.reply()[13], 'x');
  EXPECT_EQ(Metric(upstream, "portolan_upstream_merged_total"), 1u);
  EXPECT_EQ(servers.waiting(), 0u);
}

TEST_F(UpstreamTest, QuestionsThatMayHaveOtherAnswersAreNotMerged) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  Servers others(OnlyA(), upstream);
  QueryShape dnssec_ok;
  dnssec_ok.edns_version = 0;
  dnssec_ok.dnssec_ok = true;
  QueryShape checking_disabled;
  checking_disabled.flags = 0x0110;
  QueryShape no_recursion;
  no_recursion.flags = 0;
  Client* all[] = {
      &clients_.Make(MakeQuery("x.example", kA)),
      &clients_.Make(MakeQuery("x.example", wire::type::kAaaa)),
      &clients_.Make(MakeQuery("y.example", kA)),
      &clients_.Make(MakeQuery("x.example", kA, dnssec_ok)),
      &clients_.Make(MakeQuery("x.example", kA, checking_disabled)),
      &clients_.Make(MakeQuery("x.example", kA, no_recursion)),
  };
  for (Client* client : all) upstream.Ask(servers, client->exchange());
  upstream.Ask(others, clients_.Make(MakeQuery("x.example", kA)).exchange());
  EXPECT_EQ(upstream.flights(), 7u);
}

TEST_F(UpstreamTest, MoreQuestionsThanFlightsAreServfailAndCounted) {
  UpstreamOptions options;
  options.max_flights = 2;
  Upstream upstream(loop_, options);
  Servers servers(OnlyA(), upstream);
  for (const char* name : {"a.example", "b.example"}) {
    EXPECT_EQ(upstream.Ask(servers, clients_.Make(MakeQuery(name, kA)).exchange()),
              Verdict::kPending);
  }
  Client& third = clients_.Make(MakeQuery("c.example", kA));
  EXPECT_EQ(upstream.Ask(servers, third.exchange()), Verdict::kAnswered);
  EXPECT_EQ(third.rcode(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_questions_total", "overloaded"), 1u);
  // One that is under way already costs nothing more.
  EXPECT_EQ(upstream.Ask(servers, clients_.Make(MakeQuery("a.example", kA)).exchange()),
            Verdict::kPending);
  // And a flight that has landed is free again.
  test::RunUntil(loop_, [&] { return upstream.flights() == 0; });
  EXPECT_EQ(upstream.Ask(servers, clients_.Make(MakeQuery("c.example", kA)).exchange()),
            Verdict::kPending);
}

TEST_F(UpstreamTest, AListenerWithoutASlotIsServfail) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  clients_.slots_left = 0;
  Client& client = clients_.Make(MakeQuery("a.example", kA));
  EXPECT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kAnswered);
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(upstream.flights(), 0u);
}

TEST_F(UpstreamTest, MoreThanMaxConcurrentIsServfailThatSaysSo) {
  Upstream upstream(loop_);
  Servers servers(Limited(1), upstream);
  Client& first = clients_.Make(MakeQuery("a.example", kA));
  Client& second = clients_.Make(MakeQuery("b.example", kA, kEdns));
  EXPECT_EQ(upstream.Ask(servers, first.exchange()), Verdict::kPending);
  EXPECT_EQ(upstream.Ask(servers, second.exchange()), Verdict::kAnswered);
  EXPECT_EQ(second.rcode(), 2);
  EXPECT_EQ(second.error(), "0 max_concurrent of forward is reached");
  EXPECT_EQ(Metric(upstream, "coredns_forward_max_concurrent_rejects_total"), 1u);
}

TEST_F(UpstreamTest, NoServersIsServfailThatSaysSo) {
  Upstream upstream(loop_);
  Servers servers(ServerSetConfig{}, upstream);
  Client& client = clients_.Make(MakeQuery("a.example", kA, kEdns));
  EXPECT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kAnswered);
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(client.error(), "22 no upstream is configured");
}

TEST_F(UpstreamTest, AClientWithoutEdnsGetsNoOptThoughTheUpstreamGotOne) {
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA), 512);
  Ask(upstream, servers, client);
  wire::Query sent;
  ASSERT_EQ(wire::ParseQuery(a_.udp_queries.at(0), sent), wire::ParseOutcome::kQuery);
  EXPECT_TRUE(sent.edns);
  EXPECT_EQ(sent.udp_payload, 1232);
  EXPECT_EQ(wire::Load16(client.reply().data() + 10), 0);
}

TEST_F(UpstreamTest, TheEndOfItsServersDropsThoseWhoWait) {
  Upstream upstream(loop_);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  {
    Servers servers(OnlyA(), upstream);
    upstream.Ask(servers, client.exchange());
  }
  EXPECT_EQ(client.dropped, 1);
  EXPECT_EQ(client.resumed, 0);
}

TEST_F(UpstreamTest, TheReplySaysWhoWasAskedAndWhetherHeAnswered) {
  Upstream upstream(loop_);
  Servers servers({{Nobody()}}, upstream);
  Servers others(OnlyA(), upstream);
  Client& failed = clients_.Make(MakeQuery("x.example", kA));
  Client& answered = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, failed);
  Ask(upstream, others, answered);
  EXPECT_EQ(failed.exchange().asked(), &servers);
  EXPECT_FALSE(failed.exchange().answered_by_upstream());
  EXPECT_EQ(answered.exchange().asked(), &others);
  EXPECT_TRUE(answered.exchange().answered_by_upstream());
}

TEST_F(UpstreamTest, WithRandomizeCaseAReplyMustRepeatTheCaseSent) {
  Upstream upstream(loop_);
  ServerSetConfig config = OnlyA();
  config.randomize_case = true;
  Servers servers(config, upstream);
  a_.udp = [](const Bytes& query) {
    Bytes forged = Answer(query, 5);
    forged[13] ^= 0x20;
    return std::vector<Bytes>{forged, Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("abcdefghijklmnopqrstuvwxyz.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 2);
  EXPECT_EQ(client.reply()[13], 'a');
  const Bytes lower = MakeQuery("abcdefghijklmnopqrstuvwxyz.example", kA);
  EXPECT_FALSE(std::equal(lower.begin() + 12, lower.end(), a_.udp_queries.at(0).begin() + 12));
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "wrong_case"), 1u);
}

TEST_F(UpstreamTest, SocketsAreBoundedAndMoreIsServfailThatSaysSo) {
  UpstreamOptions options;
  options.max_sockets = 2;
  Upstream upstream(loop_, options);
  Servers servers(OnlyA(), upstream);
  a_.udp = Silence;
  for (const char* name : {"a.example", "b.example"}) {
    upstream.Ask(servers, clients_.Make(MakeQuery(name, kA)).exchange());
  }
  Client& third = clients_.Make(MakeQuery("c.example", kA, kEdns));
  EXPECT_LT(Ask(upstream, servers, third), absl::Milliseconds(200));
  EXPECT_EQ(third.rcode(), 2);
  EXPECT_EQ(third.error(), "0 no socket is left to ask an upstream with");
  EXPECT_EQ(Metric(upstream, "portolan_upstream_sockets_refused_total", "limit"), 1u);
  EXPECT_FALSE(servers.server(0).avoided()) << "not the server's fault";
}

TEST_F(UpstreamTest, WithoutDescriptorsTheAnswerIsServfailAndServiceComesBack) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer needs a descriptor itself, to look at a virtual call";
#endif
  Upstream upstream(loop_);
  Servers servers(OnlyA(), upstream);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Client& client = clients_.Make(MakeQuery("a.example", kA));
  Ask(upstream, servers, client);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_sockets_refused_total", "no_descriptors"), 1u);
  Client& again = clients_.Make(MakeQuery("a.example", kA));
  Ask(upstream, servers, again);
  EXPECT_EQ(again.answers(), 1);
}

}  // namespace
}  // namespace portolan::dns::upstream
