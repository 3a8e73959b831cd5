#include <gtest/gtest.h>

#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::upstream {
namespace {

using test::Answer;
using test::Bytes;
using test::Client;
using test::MakeQuery;
using test::Servers;
using test::Silence;
using wire::Rcode;
using wire::type::kA;

test::FakeServer::Handler Says(Rcode rcode) {
  return [rcode](const Bytes& query) { return std::vector<Bytes>{Answer(query, 0, rcode)}; };
}

using Failover = test::AskingUpstreams;

TEST_F(Failover, ServfailAndRefusedAreTriedOnceAtTheNextServer) {
  Upstream upstream(loop_);
  Servers servers(Both(), upstream);
  for (const Rcode rcode : {Rcode::kServFail, Rcode::kRefused}) {
    a_.udp = Says(rcode);
    Client& client = clients_.Make(MakeQuery("x.example", kA));
    EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(200));
    EXPECT_EQ(client.answers(), 1);
  }
}

TEST_F(Failover, TheLastReplyIsPassedOnWhenNoServerKnowsBetter) {
  Upstream upstream(loop_);
  Servers servers({{a_.address, b_.address, Nobody()}}, upstream);
  a_.udp = Says(Rcode::kServFail);
  b_.udp = Says(Rcode::kRefused);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.rcode(), 5);
  EXPECT_TRUE(client.exchange().answered_by_upstream());
}

TEST_F(Failover, ASilentSecondServerCostsNoMoreThanTheHedge) {
  UpstreamOptions options;
  options.hedge_delay = absl::Milliseconds(50);
  Upstream upstream(loop_, options);
  Servers servers(Both(), upstream);
  a_.udp = Says(Rcode::kServFail);
  b_.udp = Silence;
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(150));
  EXPECT_EQ(client.rcode(), 2);
}

TEST_F(Failover, AServerThatIsAvoidedGivesNoSecondOpinion) {
  Upstream upstream(loop_);
  Servers servers(Both(), upstream);
  a_.udp = Says(Rcode::kServFail);
  b_.udp = Silence;
  servers.server(1).OnUnanswered();
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(200));
  EXPECT_EQ(client.rcode(), 2);
}

TEST_F(Failover, NxdomainIsTheLastWordUnlessFailoverNamesIt) {
  Upstream upstream(loop_);
  a_.udp = Says(Rcode::kNxDomain);
  Servers plain(Both(), upstream);
  Client& first = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, plain, first);
  EXPECT_EQ(first.rcode(), 3);
  ServerSetConfig config = Both();
  config.rules.failover = {3};
  Servers servers(config, upstream);
  Client& second = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, second);
  EXPECT_EQ(second.answers(), 1);
}

TEST_F(Failover, FailoverAsksEachServerOnce) {
  Upstream upstream(loop_);
  ServerSetConfig config{{a_.address, b_.address, a_.address}};
  config.rules.failover = {2};
  Servers servers(config, upstream);
  a_.udp = b_.udp = Says(Rcode::kServFail);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(200));
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(a_.udp_queries.size(), 2u);
  EXPECT_EQ(b_.udp_queries.size(), 1u);
}

TEST_F(Failover, MaxConnectAttemptsBoundsHowOftenServersAreAsked) {
  UpstreamOptions options;
  options.hedge_delay = absl::Milliseconds(10);
  options.deadline = absl::Milliseconds(300);
  Upstream upstream(loop_, options);
  ServerSetConfig config = Both();
  config.max_attempts = 1;
  config.options.health.max_fails = 0;
  Servers servers(config, upstream);
  a_.udp = Silence;
  Client& client = clients_.Make(MakeQuery("x.example", kA, test::kEdns));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.error(), "22 no upstream answered in time");
  EXPECT_EQ(a_.udp_queries.size(), 1u);
  EXPECT_TRUE(b_.udp_queries.empty());
}

}  // namespace
}  // namespace portolan::dns::upstream
