// What explain is told of a question's way through a server block: which link answered, by which
// line of the Corefile or of a file, out of which cache entry, from which server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/dns/cluster.h"
#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using nlohmann::json;
using test::CorefileServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::type::kA;
using wire::type::kAaaa;

constexpr test::QueryShape kEdns{.edns_version = 0};

std::vector<std::string> PluginsOf(const Trace& trace) {
  std::vector<std::string> names;
  for (const json& step : trace.steps) {
    names.push_back(fmt::format("{} {}", step["plugin"].get<std::string>(),
                                step["outcome"].get<std::string>()));
  }
  return names;
}

std::string SaysOf(const Trace& trace, size_t step) {
  return trace.steps.at(step).value("says", "");
}

void AnswerWith(CorefileServer& server, size_t addresses) {
  server.upstream().udp = [addresses](const test::Bytes& query) {
    return std::vector<test::Bytes>{test::Answer(query, addresses)};
  };
}

TEST(Explain, NamesTheServerThatAnsweredAndThePlaceOfItsDirective) {
  CorefileServer server(".:53 {\n  errors\n  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  const Trace trace = server.Explain("www.example.com.", kA, kEdns);
  EXPECT_EQ(trace.server, "dns://:53");
  EXPECT_EQ(trace.zone, ".");
  EXPECT_EQ(trace.plugin, "forward");
  ASSERT_THAT(PluginsOf(trace), ElementsAre("forward answered"));
  const json& step = trace.steps[0];
  EXPECT_EQ(step["at"], "Corefile:3");
  EXPECT_EQ(step["server"], server.upstream().address.ToString());
  EXPECT_EQ(step["tries"], 1);
  EXPECT_GT(step["roundTripMs"], 0);
  EXPECT_GE(step["tookMs"], step["roundTripMs"]);
  EXPECT_GE(trace.took_ms, 0);
}

TEST(Explain, SaysThatNoServerAnswered) {
  CorefileServer server(".:53 {\n  forward . 127.0.0.1:1\n}\n");
  const Trace trace = server.Explain("www.example.com.", kA, kEdns);
  EXPECT_EQ(trace.plugin, "forward");
  EXPECT_EQ(SaysOf(trace, 0), "no answer from any server (no upstream could be reached)");
}

TEST(Explain, ShowsTheAgeOfACachedReplyAndTheTimeItHasLeft) {
  CorefileServer server(".:53 {\n  cache 30\n  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  const Trace first = server.Explain("www.example.com.", kA, kEdns);
  EXPECT_THAT(PluginsOf(first), ElementsAre("cache passed on", "forward answered"));
  EXPECT_EQ(SaysOf(first, 0), "not in the cache");
  const Trace second = server.Explain("www.example.com.", kA, kEdns);
  EXPECT_EQ(second.plugin, "cache");
  ASSERT_THAT(PluginsOf(second), ElementsAre("cache answered"));
  const json& entry = second.steps[0]["entry"];
  EXPECT_EQ(entry["rcode"], "NOERROR");
  EXPECT_EQ(entry["ageSeconds"], 0);
  EXPECT_EQ(entry["secondsLeft"], entry["ttlSeconds"]);
  EXPECT_EQ(entry["stale"], false);
  EXPECT_THAT(SaysOf(second, 0), HasSubstr("cached 0 s ago, good for "));
  EXPECT_EQ(server.upstream().udp_queries.size(), 1u);
}

TEST(Explain, NamesTheHostsLineOfTheCorefileOrOfTheFile) {
  const std::string path = ::testing::TempDir() + "/explain_hosts";
  std::ofstream(path) << "# nothing\n10.9.9.9 db.internal\n";
  CorefileServer server(".:53 {\n  hosts " + path +
                        " {\n    10.9.9.8 mail.internal\n    fallthrough\n  }\n"
                        "  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  const Trace in_file = server.Explain("db.internal.", kA);
  EXPECT_EQ(in_file.plugin, "hosts");
  EXPECT_EQ(in_file.steps[0]["entry"], path + ":2");
  EXPECT_EQ(in_file.steps[0]["at"], "Corefile:2");
  EXPECT_EQ(server.Explain("mail.internal.", kA).steps[0]["entry"], "Corefile:3");
  // A link that has nothing to say is not shown.
  EXPECT_THAT(PluginsOf(server.Explain("other.internal.", kA)), ElementsAre("forward answered"));
}

TEST(Explain, NamesTheRewriteRulesThatApplyAndWhatIsAskedInstead) {
  CorefileServer server(
      ".:53 {\n  rewrite continue name exact old.example.com new.example.com\n"
      "  rewrite name suffix .example.com .example.org\n"
      "  rewrite name exact unused.example.com other.\n  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  const Trace trace = server.Explain("old.example.com.", kAaaa);
  ASSERT_THAT(PluginsOf(trace), ElementsAre("rewrite passed on", "forward answered"));
  EXPECT_EQ(trace.steps[0]["asks"], "new.example.org. AAAA");
  EXPECT_EQ(
      SaysOf(trace, 0),
      "rewrite continue name exact old.example.com new.example.com (Corefile:2); rewrite name "
      "suffix .example.com .example.org (Corefile:3)");
}

TEST(Explain, NamesTheExpressionOfATemplateThatMatches) {
  CorefileServer server(
      ".:53 {\n  template IN A example.com {\n    match ^never\\.\n    match ^ip-(?P<a>[0-9]+)\\.\n"
      "    answer \"{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}\"\n    fallthrough\n  }\n"
      "  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  const Trace trace = server.Explain("ip-7.example.com.", kA);
  EXPECT_EQ(trace.plugin, "template");
  EXPECT_EQ(trace.steps[0]["pattern"], "^ip-(?P<a>[0-9]+)\\.");
  EXPECT_EQ(trace.steps[0]["at"], "Corefile:2");
  EXPECT_EQ(SaysOf(server.Explain("www.example.com.", kA), 0),
            "none of its expressions matches: fallthrough");
}

TEST(Explain, NamesTheLineOfAnAclThatTurnsAQuestionAway) {
  CorefileServer server(
      ".:53 {\n  acl {\n    allow type AAAA\n    block net 10.0.0.0/24\n  }\n  forward . "
      "UPSTREAM\n}\n");
  const Trace trace = server.Explain("www.example.com.", kA);
  EXPECT_EQ(trace.plugin, "acl");
  EXPECT_EQ(SaysOf(trace, 0), "block by the line at Corefile:4");
}

TEST(Explain, ShowsEachNameThatAutopathTries) {
  const std::string conf = ::testing::TempDir() + "/explain_resolv.conf";
  std::ofstream(conf) << "search default.svc.cluster.local example.net\nnameserver 127.0.0.1\n";
  CorefileServer server(".:53 {\n  autopath " + conf + "\n  forward . UPSTREAM\n}\n");
  server.upstream().udp = [](const test::Bytes& query) {
    wire::Query parsed;
    EXPECT_EQ(wire::ParseQuery(query, parsed), wire::ParseOutcome::kQuery);
    const bool found = wire::NameToText(parsed.lower_name()) == "www.example.net.";
    if (found) return std::vector<test::Bytes>{test::Answer(query, 1)};
    test::Bytes reply(512);
    reply.resize(wire::WriteEmptyReply(parsed, reply, wire::Rcode::kNxDomain));
    return std::vector<test::Bytes>{reply};
  };
  const Trace trace = server.Explain("www.default.svc.cluster.local.", kA);
  EXPECT_THAT(PluginsOf(trace),
              ElementsAre("forward answered", "autopath asks again", "forward answered"));
  EXPECT_EQ(trace.steps[1]["asks"], "www.example.net. A");
  EXPECT_EQ(trace.plugin, "forward");
  EXPECT_TRUE(trace.completed);
  EXPECT_FALSE(server.Explain("www.example.net.", kA).completed);
}

TEST(Explain, SaysWhatTheClusterHasOrWhyItIsDenied) {
  CorefileServer server(".:53 {\n  kubernetes cluster.local\n  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  test::Cluster cluster;
  cluster.PutService("default", "backend", {"10.43.0.7"});
  cluster.PutService("default", "quiet", {});
  cluster.Publish();
  server.cluster().Replace(std::make_shared<const ClusterData>(cluster.holder().current()));

  const Trace there = server.Explain("backend.default.svc.cluster.local.", kA);
  EXPECT_EQ(there.plugin, "kubernetes");
  EXPECT_EQ(there.steps[0]["service"], "default/backend");
  EXPECT_EQ(there.steps[0]["feed"], "in sync");
  EXPECT_EQ(SaysOf(there, 0), "the addresses of Service default/backend");

  const std::string unknown = "typo.default.svc.cluster.local.";
  EXPECT_EQ(SaysOf(server.Explain(unknown, kA), 0), "does not exist, as the feed is in sync");

  cluster.Publish(FeedTrust::kStale);
  server.cluster().Replace(std::make_shared<const ClusterData>(cluster.holder().current()));
  const Trace stale = server.Explain(unknown, kA);
  EXPECT_EQ(stale.plugin, "forward");
  EXPECT_EQ(SaysOf(stale, 0),
            "not known, and the feed is not in sync: passed on to the cluster DNS");
}

TEST(Explain, LeavesOrdinaryQuestionsToTheirOwnChain) {
  CorefileServer server(".:53 {\n  cache 30\n  forward . UPSTREAM\n}\n");
  AnswerWith(server, 1);
  server.Explain("www.example.com.", kA);
  // Out of the same cache, counted by the same counters.
  EXPECT_EQ(test::Answers(server.Ask("www.example.com.", kA)).size(), 1u);
  EXPECT_EQ(server.Metric("coredns_dns_requests_total"), 2);
  EXPECT_EQ(server.Metric("coredns_cache_hits_total"), 1);
}

class CountingObserver : public ReplyObserver {
 public:
  void OnReply(const Exchange&, uint32_t) override { ++replies; }
  int replies = 0;
};

TEST(Explain, IsNotTakenForTheApplicationByWhoReportsWhatItAsks) {
  CountingObserver observer;
  CorefileServer server(".:53 {\n  forward . UPSTREAM\n}\n", {.observer = &observer});
  AnswerWith(server, 1);
  server.Explain("www.example.com.", kA);
  EXPECT_EQ(observer.replies, 0);
  server.Ask("www.example.com.", kA);
  EXPECT_EQ(observer.replies, 1);
}

}  // namespace
}  // namespace portolan::dns
