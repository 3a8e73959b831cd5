#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::upstream {
namespace {

using test::Answer;
using test::Bytes;
using test::Client;
using test::MakeQuery;
using test::Metric;
using test::Servers;
using test::Silence;
using wire::type::kA;

// Questions over TCP alone.
class Streams : public test::AskingUpstreams {
 protected:
  // Asks all of them before the loop turns.
  std::vector<Client*> AskAll(Upstream& upstream, ServerSet& servers, int count,
                              std::string_view prefix = "n") {
    std::vector<Client*> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(
          &clients_.Make(MakeQuery(std::string(prefix) + std::to_string(i) + ".example", kA)));
      EXPECT_EQ(upstream.Ask(servers, clients.back()->exchange()), Verdict::kPending);
    }
    return clients;
  }
  bool RunUntilAllDone(const std::vector<Client*>& clients) {
    return test::RunUntil(loop_, [&] {
      return std::all_of(clients.begin(), clients.end(), [](Client* c) { return c->done(); });
    });
  }
};

TEST_F(Streams, QuestionsShareOneConnectionAndItIsKept) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  ASSERT_TRUE(RunUntilAllDone(AskAll(upstream, servers, 20)));
  ASSERT_TRUE(RunUntilAllDone(AskAll(upstream, servers, 20, "m")));
  EXPECT_EQ(a_.tcp_queries.size(), 40u);
  EXPECT_EQ(a_.accepted(), 1u);
  std::set<uint16_t> ids;
  for (const Bytes& query : a_.tcp_queries) ids.insert(wire::Load16(query.data()));
  EXPECT_GE(ids.size(), 38u) << "ids are drawn at random on a connection as well";
  EXPECT_EQ(Metric(servers, "coredns_proxy_conn_cache_hits_total", "tcp"), 39u);
  EXPECT_EQ(Metric(servers, "coredns_proxy_conn_cache_misses_total", "tcp"), 1u);
}

TEST_F(Streams, AnswersOutOfOrderFindTheirQuestions) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  std::vector<Bytes> held;
  a_.tcp = [&](const Bytes& query) {
    held.insert(held.begin(), Answer(query, held.size() + 1));
    return held.size() == 3 ? held : std::vector<Bytes>{};
  };
  const auto clients = AskAll(upstream, servers, 3);
  ASSERT_TRUE(RunUntilAllDone(clients));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(clients[i]->answers(), i + 1);
}

TEST_F(Streams, AWrongIdOrQuestionIsWaitedPast) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  a_.tcp = [](const Bytes& query) {
    Bytes wrong_id = Answer(query, 5);
    wrong_id[0] ^= 0xff;
    test::QueryShape shape;
    shape.id = wire::Load16(query.data());
    return std::vector<Bytes>{wrong_id, Answer(MakeQuery("other.example", kA, shape), 6),
                              Answer(query, 2)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 2);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "wrong_id"), 1u);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_ignored_replies_total", "wrong_question"), 1u);
  EXPECT_EQ(a_.accepted(), 1u);
}

TEST_F(Streams, AConnectionThatTheServerEndsIsRetriedOnceOnAFreshOne) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  ASSERT_TRUE(RunUntilAllDone(AskAll(upstream, servers, 1)));
  // The second question comes over the kept connection, and the server ends that.
  a_.close_after = 2;
  a_.tcp = [&](const Bytes& query) {
    return a_.tcp_queries.size() == 2 ? std::vector<Bytes>{} : std::vector<Bytes>{Answer(query)};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(250));
  EXPECT_EQ(client.answers(), 1);
  EXPECT_EQ(a_.accepted(), 2u);
  EXPECT_EQ(Metric(upstream, "portolan_upstream_retried_total"), 1u);
  EXPECT_FALSE(servers.server(0).avoided());
}

TEST_F(Streams, AConnectionThatIsRefusedMovesOnToTheNextServer) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({Nobody(), a_.address}), upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(250));
  EXPECT_EQ(client.answers(), 1);
  EXPECT_TRUE(servers.server(0).avoided());
}

TEST_F(Streams, AFullConnectionIsJoinedByAnother) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  const auto clients = AskAll(upstream, servers, static_cast<int>(Connection::kMaxInFlight) + 1);
  ASSERT_TRUE(RunUntilAllDone(clients));
  EXPECT_EQ(a_.accepted(), 2u);
}

TEST_F(Streams, ConnectionsToAServerAreBounded) {
  UpstreamOptions options;
  options.max_flights = 2000;
  Upstream upstream(loop_, options);
  Servers servers(TcpOnly({a_.address}), upstream);
  clients_.slots_left = 2000;
  a_.tcp = Silence;
  constexpr int kMost = StreamPool::kMaxConnections * Connection::kMaxInFlight;
  AskAll(upstream, servers, kMost);
  Client& client = clients_.Make(MakeQuery("x.example", kA, test::kEdns));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.error(), "0 no socket is left to ask an upstream with");
  EXPECT_EQ(upstream.context().sockets, StreamPool::kMaxConnections);
}

TEST_F(Streams, IdleConnectionsEndWithExpire) {
  Upstream upstream(loop_);
  ServerSetConfig config = TcpOnly({a_.address});
  config.options.streams.expire = absl::Milliseconds(20);
  Servers servers(config, upstream);
  ASSERT_TRUE(RunUntilAllDone(AskAll(upstream, servers, 1)));
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return a_.open_connections() == 0; }));
  EXPECT_EQ(upstream.context().sockets, 0u);
  ASSERT_TRUE(RunUntilAllDone(AskAll(upstream, servers, 1)));
}

TEST_F(Streams, NoMoreIdleConnectionsAreKeptThanAllowed) {
  Upstream upstream(loop_);
  ServerSetConfig config = TcpOnly({a_.address});
  config.options.streams.max_idle = 1;
  Servers servers(config, upstream);
  const auto clients = AskAll(upstream, servers, static_cast<int>(Connection::kMaxInFlight) + 1);
  ASSERT_TRUE(RunUntilAllDone(clients));
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return upstream.context().sockets == 1; }));
}

TEST_F(Streams, AStalledConnectionGetsNoNewQuestions) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address}), upstream);
  a_.tcp = Silence;
  Client& first = clients_.Make(MakeQuery("a.example", kA));
  upstream.Ask(servers, first.exchange());
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return servers.server(0).avoided(); }));
  a_.tcp = [](const Bytes& query) { return std::vector<Bytes>{Answer(query)}; };
  Client& second = clients_.Make(MakeQuery("b.example", kA));
  EXPECT_LT(Ask(upstream, servers, second), absl::Milliseconds(250));
}

TEST_F(Streams, AMessageTooShortEndsTheConnectionAndIsCounted) {
  Upstream upstream(loop_);
  Servers servers(TcpOnly({a_.address, b_.address}), upstream);
  a_.tcp = [](const Bytes&) { return std::vector<Bytes>{{1, 2, 3}}; };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(250));
  EXPECT_EQ(client.answers(), 1);
  EXPECT_GE(Metric(upstream, "portolan_upstream_ignored_replies_total", "malformed"), 2u)
      << "the first connection and the fresh one";
}

TEST_F(Streams, ServersMayEndWhileAnAnswerIsDelivered) {
  Upstream upstream(loop_);
  std::optional<Servers> servers;
  servers.emplace(TcpOnly({a_.address}), upstream);
  Client& first = clients_.Make(MakeQuery("a.example", kA));
  Client& second = clients_.Make(MakeQuery("b.example", kA));
  first.on_resume = [&] { servers.reset(); };
  upstream.Ask(*servers, first.exchange());
  upstream.Ask(*servers, second.exchange());
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return first.done(); }));
  EXPECT_EQ(second.dropped, 1);
  EXPECT_EQ(upstream.context().sockets, 0u);
}

}  // namespace
}  // namespace portolan::dns::upstream
