#include "dns/upstream/loop_watch.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::upstream {
namespace {

using test::Answer;
using test::Bytes;
using test::Client;
using test::MakeQuery;
using test::Servers;
using wire::type::kA;

constexpr uint16_t kHinfo = 13;

wire::Query Parse(const Bytes& message) {
  wire::Query query;
  EXPECT_EQ(wire::ParseQuery(message, query), wire::ParseOutcome::kQuery);
  return query;
}

class LoopWatchTest : public test::AskingUpstreams {
 protected:
  LoopWatchTest() {
    // As if what the server is asked came back to us.
    back_ = [this](const Bytes& query) {
      watch_->Recognise(Parse(query));
      return std::vector<Bytes>{Answer(query, 0, wire::Rcode::kNxDomain)};
    };
  }
  ServerSetConfig Watched() {
    ServerSetConfig config = OnlyA();
    config.options.loop = watch_;
    return config;
  }

  std::shared_ptr<LoopWatch> watch_ = std::make_shared<LoopWatch>(
      *wire::Zone::Parse("corp.example"),
      LoopTiming{.every = absl::Seconds(30), .often = absl::Milliseconds(20)});
  test::FakeServer::Handler back_;
};

TEST_F(LoopWatchTest, AServerIsProbedAtTheStartWithANameOfItsZone) {
  Upstream upstream(loop_);
  Servers servers(Watched(), upstream);
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return !a_.udp_queries.empty(); }));
  const wire::Query probe = Parse(a_.udp_queries[0]);
  EXPECT_EQ(probe.type, kHinfo);
  EXPECT_EQ(probe.labels, 4);
  EXPECT_TRUE(wire::Zone::Parse("corp.example")->Holds(probe));
  EXPECT_FALSE(servers.server(0).leads_back());
}

TEST_F(LoopWatchTest, AServerThatLeadsBackIsProbedOnAndHealsByItself) {
  Upstream upstream(loop_);
  Servers servers(Watched(), upstream);
  a_.udp = back_;
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return servers.server(0).leads_back(); }));
  EXPECT_EQ(test::Metric(servers, "portolan_upstream_server_leads_back"), 1u);
  Client& client = clients_.Make(MakeQuery("x.example", kA, test::kEdns));
  EXPECT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kAnswered);
  EXPECT_EQ(client.rcode(), 2);
  a_.udp = [](const Bytes& query) { return std::vector<Bytes>{Answer(query)}; };
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return !servers.server(0).leads_back(); }));
  Client& again = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, again);
  EXPECT_EQ(again.answers(), 1);
  std::set<Bytes> names;
  for (const Bytes& query : a_.udp_queries) names.insert(Bytes(query.begin() + 2, query.end()));
  EXPECT_EQ(names.size(), a_.udp_queries.size()) << "no probe has the name of another";
}

TEST_F(LoopWatchTest, ASilentServerNoLongerLeadsBack) {
  Upstream upstream(loop_);
  Servers servers(Watched(), upstream);
  a_.udp = back_;
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return servers.server(0).leads_back(); }));
  a_.udp = test::Silence;
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return !servers.server(0).leads_back(); }));
}

TEST_F(LoopWatchTest, AQuestionThatGoesUnansweredHasTheServerProbed) {
  UpstreamOptions options;
  options.hedge_delay = absl::Milliseconds(20);
  options.deadline = absl::Milliseconds(100);
  Upstream upstream(loop_, options);
  Servers servers(Watched(), upstream);
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return a_.udp_queries.size() == 1; }));
  a_.udp = [&](const Bytes& query) {
    return Parse(query).type == kHinfo ? back_(query) : std::vector<Bytes>{};
  };
  Ask(upstream, servers, clients_.Make(MakeQuery("x.example", kA)));
  EXPECT_TRUE(test::RunUntil(loop_, [&] { return servers.server(0).leads_back(); }));
}

TEST_F(LoopWatchTest, AQuestionUnderWayEndsWhenItsServerIsFoundToLeadBack) {
  UpstreamOptions options;
  options.hedge_delay = absl::Milliseconds(20);
  options.deadline = absl::Minutes(1);
  Upstream upstream(loop_, options);
  Servers servers(Watched(), upstream);
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return a_.udp_queries.size() == 1; }));
  a_.udp = [&](const Bytes& query) {
    return Parse(query).type == kHinfo ? back_(query) : std::vector<Bytes>{};
  };
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.rcode(), 2);
  EXPECT_TRUE(servers.server(0).leads_back());
}

TEST_F(LoopWatchTest, WorkersTogetherProbeAsOftenAsOneWould) {
  Upstream upstream(loop_);
  Servers servers(Watched(), upstream);
  Servers of_another_worker(Watched(), upstream);
  test::RunUntil(
      loop_, [] { return false; }, absl::Milliseconds(50));
  EXPECT_EQ(a_.udp_queries.size(), 1u);
}

TEST_F(LoopWatchTest, QuestionsOfOthersAreNotTakenForProbes) {
  Upstream upstream(loop_);
  Request probe;
  watch_->WriteProbe(3, upstream.context().random, probe);
  const Bytes bytes(probe.bytes().begin(), probe.bytes().end());
  LoopWatch other(*wire::Zone::Parse("corp.example"));
  EXPECT_EQ(other.Recognise(Parse(bytes)), LoopWatch::Seen::kNotOurs);
  for (const char* name : {"a.b.corp.example", "0123456789abcdef.0123456789abcdef.corp.example",
                           "0123456789abcdef.0123456789abcdeg.corp.example", "."}) {
    EXPECT_EQ(watch_->Recognise(Parse(MakeQuery(name, kHinfo))), LoopWatch::Seen::kNotOurs);
  }
  Bytes for_a = bytes;
  for_a[for_a.size() - 3] = kA;
  EXPECT_EQ(watch_->Recognise(Parse(for_a)), LoopWatch::Seen::kNotOurs);
  EXPECT_EQ(watch_->Recognise(Parse(bytes)), LoopWatch::Seen::kNew);
  EXPECT_EQ(watch_->Recognise(Parse(bytes)), LoopWatch::Seen::kKnown);
  EXPECT_TRUE(watch_->leads_back(3));
  EXPECT_FALSE(watch_->leads_back(2));
}

}  // namespace
}  // namespace portolan::dns::upstream
