#include "dns/upstream/health.h"

#include <gtest/gtest.h>

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

class HealthTest : public test::AskingUpstreams {
 protected:
  static UpstreamOptions Fast() {
    UpstreamOptions options;
    options.hedge_delay = absl::Milliseconds(20);
    options.deadline = absl::Milliseconds(200);
    return options;
  }
  ServerSetConfig Probed() {
    ServerSetConfig config = Both();
    config.options.health.interval = absl::Milliseconds(10);
    return config;
  }
  bool RunUntil(const std::function<bool()>& done) { return test::RunUntil(loop_, done); }
};

TEST_F(HealthTest, ASilentServerCostsItsDelayOnceAndIsThenAvoided) {
  Upstream upstream(loop_, Fast());
  Servers servers(Probed(), upstream);
  a_.udp = Silence;
  EXPECT_GE(Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA))),
            absl::Milliseconds(19));
  EXPECT_TRUE(servers.server(0).avoided());
  for (const char* name : {"b.example", "c.example", "d.example"}) {
    EXPECT_LT(Ask(upstream, servers, clients_.Make(MakeQuery(name, kA))), absl::Milliseconds(19));
  }
}

TEST_F(HealthTest, AProbeThatIsAnsweredBringsTheServerBack) {
  Upstream upstream(loop_, Fast());
  Servers servers(Probed(), upstream);
  a_.udp = Silence;
  Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA)));
  ASSERT_TRUE(RunUntil([&] { return servers.server(0).down(); }));
  EXPECT_GE(Metric(servers, "coredns_proxy_healthcheck_failures_total"), 2u);
  // Any answer will do.
  a_.udp = [](const Bytes& query) {
    return std::vector<Bytes>{Answer(query, 0, wire::Rcode::kRefused)};
  };
  EXPECT_TRUE(RunUntil([&] { return !servers.server(0).avoided(); }));
  EXPECT_FALSE(servers.server(0).down());
  const size_t probes = a_.udp_queries.size();
  test::RunUntil(
      loop_, [] { return false; }, absl::Milliseconds(50));
  EXPECT_EQ(a_.udp_queries.size(), probes) << "a server that answers is not probed";
}

TEST_F(HealthTest, AProbeAsksForTheNameGivenWithTheFlagsGiven) {
  Upstream upstream(loop_, Fast());
  ServerSetConfig config = Probed();
  config.options.health.domain = wire::Zone::Parse("Probe.example")->wire;
  config.options.health.recursion_desired = false;
  Servers servers(config, upstream);
  a_.udp = Silence;
  servers.server(0).OnUnanswered();
  ASSERT_TRUE(RunUntil([&] { return !a_.udp_queries.empty(); }));
  wire::Query probe;
  ASSERT_EQ(wire::ParseQuery(a_.udp_queries[0], probe), wire::ParseOutcome::kQuery);
  EXPECT_EQ(wire::NameToText(probe.lower_name()), "probe.example.");
  EXPECT_EQ(probe.type, wire::type::kNs);
  EXPECT_FALSE(probe.recursion_desired());
}

TEST_F(HealthTest, WithForceTcpAProbeGoesOverAConnectionOfItsOwn) {
  Upstream upstream(loop_, Fast());
  Servers servers(TcpOnly({a_.address}), upstream);
  Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA)));
  servers.server(0).OnUnanswered();
  ASSERT_TRUE(RunUntil([&] { return a_.tcp_queries.size() == 2; }));
  EXPECT_EQ(a_.accepted(), 2u);
  EXPECT_TRUE(a_.udp_queries.empty());
}

TEST_F(HealthTest, WhileAllAreDownQuestionsAreStillAskedAndCounted) {
  Upstream upstream(loop_, Fast());
  Servers servers(Probed(), upstream);
  a_.udp = b_.udp = Silence;
  Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA)));
  ASSERT_TRUE(RunUntil([&] { return servers.AllDown(); }));
  Ask(upstream, servers, clients_.Make(MakeQuery("b.example", kA)));
  EXPECT_EQ(Metric(upstream, "coredns_forward_healthcheck_broken_total"), 1u);
}

TEST_F(HealthTest, WithFailfastAnswersSayAtOnceThatAllAreDown) {
  Upstream upstream(loop_, Fast());
  ServerSetConfig config = Probed();
  config.fail_fast = true;
  Servers servers(config, upstream);
  a_.udp = b_.udp = Silence;
  Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA)));
  ASSERT_TRUE(RunUntil([&] { return servers.AllDown(); }));
  Client& client = clients_.Make(MakeQuery("b.example", kA, test::kEdns));
  EXPECT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kAnswered);
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_EQ(client.error(), "22 all upstreams fail their health checks");
}

}  // namespace
}  // namespace portolan::dns::upstream
