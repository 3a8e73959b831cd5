#include "dns/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/status.h"
#include "dns/corefile/parser.h"
#include "dns/server/routes.h"
#include "dns/server/server.h"
#include "dns/upstream/upstream.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns {
namespace {

using test::Client;
using test::MakeQuery;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::type::kA;

constexpr std::string_view kSeed = R"(.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    hosts {
       # Static entries if needed
       fallthrough
    }
    cache 30
    loop
    reload
    loadbalance
}
)";

absl::StatusOr<std::shared_ptr<const Config>> Load(std::string_view text) {
  auto corefile = corefile::ParseCorefile(text, "Corefile", {});
  if (!corefile.ok()) return corefile.status();
  LoadOptions options;
  options.hosts_file = "/dev/null";
  return LoadConfig(*corefile, options);
}

std::string Error(std::string_view text) {
  auto config = Load(text);
  return config.ok() ? "no error" : std::string(Message(config.status()));
}

std::vector<std::string> Notes(std::string_view text) {
  auto config = Load(text);
  if (!config.ok()) return {"error " + std::string(Message(config.status()))};
  return (*config)->notes();
}

// NXDOMAIN, said by the root.
test::Bytes Denial(const test::Bytes& query) {
  wire::Query parsed;
  EXPECT_EQ(wire::ParseQuery(query, parsed), wire::ParseOutcome::kQuery);
  test::Bytes reply(512);
  wire::ReplyWriter writer(parsed, reply, reply.size());
  const auto soa =
      writer.Add(wire::Section::kAuthority, wire::QuestionSuffix(parsed, parsed.labels),
                 wire::type::kSoa, 60, 22);
  std::fill(soa.begin(), soa.end(), uint8_t{0});
  reply.resize(writer.Finish(wire::Rcode::kNxDomain, wire::flag::kRecursionAvailable));
  return reply;
}

// One worker with the pod's resolver and one more server, on loopback.
class Worker : public ::testing::Test {
 protected:
  Worker() {
    pod_.udp = [](const test::Bytes& query) {
      return std::vector<test::Bytes>{test::Answer(query, 1)};
    };
    other_.udp = [](const test::Bytes& query) {
      return std::vector<test::Bytes>{test::Answer(query, 2)};
    };
  }

  void Start(std::string_view text) {
    auto config = Load(text);
    ASSERT_TRUE(config.ok()) << config.status();
    chains_ = (*config)->Instantiate({loop_, cluster_, upstream_, {pod_.address}});
    routes_.emplace(chains_->zones(), counters_, Routes::Told{});
  }
  std::string Other() const { return other_.address.ToString(); }

  const Chain& ChainOf(const wire::Query& query) { return *routes_->Find(query)->to.chain; }

  std::vector<std::string> LinksOf(std::string_view name) {
    Client& client = clients_.Make(MakeQuery(name, kA));
    std::vector<std::string> names;
    for (const auto& link : ChainOf(client.exchange().query()).links()) {
      names.emplace_back(link->name());
    }
    return names;
  }

  Client& Ask(std::string_view name, uint16_t type = kA) {
    Client& client = clients_.Make(MakeQuery(name, type));
    Exchange& exchange = client.exchange();
    const Verdict verdict = ChainOf(exchange.query()).Run(exchange);
    if (verdict == Verdict::kPending) {
      test::RunUntil(loop_, [&] { return client.done(); });
      ChainOf(exchange.query()).Up(exchange);
    }
    return client;
  }

  EventLoop loop_;
  ClusterDataHolder cluster_;
  test::FakeServer pod_{loop_};
  test::FakeServer other_{loop_};
  test::Clients clients_;
  upstream::Upstream upstream_{loop_};
  ZoneCounterTable counters_;
  std::optional<Routes> routes_;
  std::unique_ptr<Chains> chains_;
};

TEST(LoadConfig, TheSeedsCorefileLoadsWordForWord) {
  auto config = Load(kSeed);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->health()->lameduck, absl::Seconds(5));
  EXPECT_FALSE((*config)->health()->address.has_value());
  EXPECT_TRUE((*config)->ready().has_value());
  EXPECT_EQ((*config)->prometheus()->address->ToString(), ":9153");
}

TEST(LoadConfig, WhatIsNotActiveIsNotedByNameLineAndConsequence) {
  EXPECT_THAT(
      Notes(kSeed),
      ElementsAre(
          "Corefile:1:1: .:53: port 53 is not opened: the sidecar's own listen address holds"));
}

TEST(LoadConfig, TheDefaultCorefileLoads) { EXPECT_TRUE(Load(kDefaultCorefile).ok()); }

TEST(LoadConfig, AnUnknownDirectiveNamesItsPlaceAndTheNearestWord) {
  EXPECT_EQ(Error(". {\n    kubernets cluster.local\n}"),
            "Corefile:2:5: unknown directive 'kubernets', did you mean 'kubernetes'?");
  EXPECT_EQ(Error(". {\n zzzzzzzz\n}"), "Corefile:2:2: unknown directive 'zzzzzzzz'");
}

TEST(LoadConfig, ErrorsNameThePlaceAndTheWord) {
  const std::pair<std::string_view, std::string_view> wrong[] = {
      {". {\n cache\n cache 30\n}",
       "Corefile:3:2: cache may stand once in a server block; line 2 has it"},
      {". {\n}\n.:53 {\n}", "Corefile:3:1: dns://.:53 is already defined on line 1"},
      {"foo://. {\n}", "Corefile:1:1: unknown scheme 'foo://'"},
      {".:http {\n}", "Corefile:1:1: 'http' is not a port"},
      {"a..b {\n}", "Corefile:1:1: 'a..b': "},
      {". {\n health {\n  lameduc 5s\n }\n}",
       "Corefile:3:3: unknown option 'lameduc' of health, did you mean 'lameduck'?"},
      {". {\n health {\n  lameduck 5\n }\n}",
       "Corefile:3:12: '5' is not a duration such as 5s or 1m30s"},
      {". {\n health 8080\n}",
       "Corefile:2:9: '8080' is not an address such as :9153 or 127.0.0.1:9153"},
      {". {\n ready a b\n}", "Corefile:2:10: 'b': ready takes one argument"},
      {". {\n prometheus :9153 {\n  x\n }\n}", "Corefile:3:3: unknown option 'x' of prometheus"},
      {". {\n errors stderr\n}", "Corefile:2:9: 'stderr': the log goes to 'stdout' only"},
      {". {\n forward .\n}", "Corefile:2:2: forward needs a zone and at least one server"},
      {". {\n forward . https://9.9.9.9\n}", "Corefile:2:12: 'https://9.9.9.9': https:// is not"},
      {". {\n forward . dns.example\n}", "Corefile:2:12: 'dns.example' is neither an address nor"},
      {". {\n forward . /nonexistent/resolv.conf\n}", "Corefile:2:12: "},
      {". {\n forward . 9.9.9.9 {\n  policy fastest\n }\n}",
       "Corefile:3:10: unknown policy 'fastest'"},
      {". {\n forward . 9.9.9.9 {\n  max_concurrent -1\n }\n}",
       "Corefile:3:18: '-1' is not a number"},
      {". {\n forward . 9.9.9.9 {\n  exept a\n }\n}",
       "Corefile:3:3: unknown option 'exept' of forward, did you mean 'except'?"},
      {". {\n hosts {\n  fallthru\n }\n}", "Corefile:3:3: unknown option 'fallthru' of hosts"},
      {". {\n hosts {\n  10.0.0.1\n }\n}", "Corefile:3:3: a name must follow the address"},
      {". {\n hosts {\n  ttl 0\n }\n}", "Corefile:3:7: ttl must be above 0"},
      {". {\n kubernetes cluster.local {\n  ttl x\n }\n}", "Corefile:3:7: "},
      {". {\n loadbalance sideways\n}", "Corefile:2:14: "},
      {". {\n file\n}", "Corefile:2:2: file needs a zone file"},
  };
  for (const auto& [text, error] : wrong) EXPECT_THAT(Error(text), HasSubstr(error)) << text;
}

TEST(LoadConfig, OptionsWithoutEffectAreNoted) {
  EXPECT_THAT(Notes(". {\n forward . 9.9.9.9 {\n  doh_method GET\n  tls\n }\n}"),
              ElementsAre(HasSubstr("Corefile:3:3: forward: 'doh_method': DNS over HTTPS is not"),
                          HasSubstr("Corefile:4:3: forward: 'tls': no TO begins with tls://")));
}

TEST(LoadConfig, KeysOfOtherTransportsAreNotServedAndNoted) {
  EXPECT_THAT(Notes("tls://.:853 {\n errors\n}"),
              ElementsAre(HasSubstr("Corefile:1:1: tls://.:853: not served")));
}

TEST(LoadConfig, ASecondBlocksHttpSettingsAreNoted) {
  auto config = Load("a {\n health :1111\n}\nb {\n health :2222\n}");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ((*config)->health()->address->ToString(), ":1111");
  EXPECT_THAT((*config)->notes(), ElementsAre(HasSubstr("Corefile:5:2: health: an earlier")));
}

TEST(LoadConfig, HttpAddressesHaveFourForms) {
  auto address = [](std::string_view text) {
    auto config = Load(fmt::format(". {{\n prometheus {}\n}}", text));
    return config.ok() ? (*config)->prometheus()->address->ToString() : "error";
  };
  EXPECT_EQ(address(":9153"), ":9153");
  EXPECT_EQ(address("localhost:9153"), "127.0.0.1:9153");
  EXPECT_EQ(address("0.0.0.0:9153"), "0.0.0.0:9153");
  EXPECT_EQ(address("[::1]:9153"), "[::1]:9153");
  EXPECT_EQ(address(":0"), "error");
}

TEST_F(Worker, LinksStandInCoreDnssOrderWhateverTheFiles) {
  Start(". {\n forward . 9.9.9.9\n kubernetes cluster.local\n hosts\n loadbalance\n errors\n}");
  EXPECT_THAT(LinksOf("x.example"),
              ElementsAre("errors", "loadbalance", "hosts", "kubernetes", "forward", "forward"));
}

TEST_F(Worker, ABlockWithoutForwardAsksThePodsResolvers) {
  Start(kSeed);
  EXPECT_THAT(LinksOf("x.example"), ElementsAre("errors", "loadbalance", "hosts", "kubernetes",
                                                "forward", "cache", "loop", "forward"));
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
  EXPECT_FALSE(pod_.udp_queries.empty());
}

TEST_F(Worker, ForwardAsksItsServers) {
  Start(". {\n forward . " + Other() + "\n}");
  EXPECT_EQ(Ask("www.example.org").answers(), 2);
  EXPECT_TRUE(pod_.udp_queries.empty());
}

TEST_F(Worker, ForwardToResolvConfAsksThePodsResolvers) {
  Start(". {\n forward . /etc/resolv.conf\n}");
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
}

TEST_F(Worker, SeveralForwardsAreAskedInTheFilesOrder) {
  Start(". {\n forward corp.example " + Other() + "\n forward . /etc/resolv.conf\n}");
  EXPECT_EQ(Ask("www.corp.example").answers(), 2);
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
}

TEST_F(Worker, ForwardLeavesItsExceptionsAndOtherZonesToTheNextLink) {
  Start(". {\n forward example " + Other() + " {\n  except not.example\n }\n}");
  EXPECT_EQ(Ask("www.example").answers(), 2);
  EXPECT_EQ(Ask("www.not.example").rcode(), 5);
  EXPECT_EQ(Ask("www.example.org").rcode(), 5);
}

TEST_F(Worker, AReverseZoneMayBeWrittenAsAnAddressBlock) {
  Start("10.0.0.0/8 {\n forward . " + Other() + "\n}\n172.16.0.0/12 {\n forward . " + Other() +
        "\n}\nfd00::/16 {\n forward . " + Other() + "\n}");
  EXPECT_EQ(Ask("1.2.3.10.in-addr.arpa").answers(), 2);
  EXPECT_EQ(Ask("1.2.31.172.in-addr.arpa").answers(), 2);
  EXPECT_EQ(Ask("1.2.32.172.in-addr.arpa").answers(), 1);
  EXPECT_EQ(Ask("1.0.0.d.f.ip6.arpa").answers(), 2);
  EXPECT_EQ(Ask("1.11.in-addr.arpa").answers(), 1);
}

TEST_F(Worker, TheLongestZoneOfAllBlocksCounts) {
  Start(". {\n}\nexample {\n forward . " + Other() + "\n}\nsub.example {\n}");
  EXPECT_EQ(Ask("www.example").answers(), 2);
  EXPECT_EQ(Ask("www.sub.example").answers(), 1);
  EXPECT_EQ(Ask("www.notexample").answers(), 1);
}

TEST_F(Worker, WhatNoBlockHoldsIsAskedOfThePodsResolvers) {
  Start("example {\n forward . " + Other() + "\n}");
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
}

// With the feed away `kubernetes` passes its names on; a public resolver would deny them.
TEST_F(Worker, NamesThatKubernetesPassesOnGoToTheClusterDnsAndNotToForward) {
  Start(
      ". {\n kubernetes cluster.local in-addr.arpa {\n  fallthrough in-addr.arpa\n }\n forward . " +
      Other() + "\n}");
  EXPECT_EQ(Ask("new.default.svc.cluster.local").answers(), 1);
  EXPECT_EQ(Ask("www.example.org").answers(), 2);
  EXPECT_EQ(Ask("1.0.0.10.in-addr.arpa", wire::type::kPtr).answers(), 2);
}

// `kubernetes` answers them again as soon as it can, and until then a change must not be late.
TEST_F(Worker, TheCacheKeepsWhatUpstreamsSayButNotOfTheClustersNames) {
  Start(". {\n cache\n kubernetes cluster.local\n}");
  for (const char* name : {"www.example.org", "new.default.svc.cluster.local"}) {
    pod_.udp_queries.clear();
    Ask(name);
    Ask(name);
    EXPECT_EQ(pod_.udp_queries.size(), name == std::string_view("www.example.org") ? 1u : 2u);
  }
}

TEST_F(Worker, ADenialCutsOffNothingThatAnotherForwardHolds) {
  pod_.udp = [](const test::Bytes& query) { return std::vector<test::Bytes>{Denial(query)}; };
  Start(". {\n cache\n forward in.corp.example " + Other() + "\n forward . /etc/resolv.conf\n}");
  EXPECT_EQ(Ask("corp.example").rcode(), 3);
  EXPECT_EQ(Ask("www.corp.example").rcode(), 3);
  EXPECT_EQ(pod_.udp_queries.size(), 1u);
  EXPECT_EQ(Ask("www.in.corp.example").answers(), 2);
}

TEST_F(Worker, ZonesOfFileAndItsKindAreAskedOfTheClusterDns) {
  Start(". {\n file db.example example.net\n etcd skydns.local {\n  path /skydns\n }\n forward . " +
        Other() + "\n}");
  EXPECT_EQ(Ask("www.example.net").answers(), 1);
  EXPECT_EQ(Ask("x.skydns.local").answers(), 1);
  EXPECT_EQ(Ask("www.example.org").answers(), 2);
}

TEST_F(Worker, ABlockWithAViewIsAskedOfTheClusterDnsWhole) {
  Start(". {\n view internal {\n  expr true\n }\n forward . " + Other() + "\n}\n. {\n forward . " +
        Other() + "\n}");
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
}

TEST_F(Worker, BlocksForOtherPortsAreNotedAndTheFirstServes) {
  const std::string text = ".:53 {\n}\n.:5353 {\n forward . " + Other() + "\n}";
  EXPECT_THAT(Notes(text), Contains(HasSubstr("Corefile:3:1: .:5353: . is served by an earlier")));
  Start(text);
  EXPECT_EQ(Ask("www.example.org").answers(), 1);
}

TEST_F(Worker, MaxConcurrentHoldsForTheDirective) {
  Start(". {\n forward . " + Other() + " {\n  max_concurrent 1\n }\n}");
  Client& first = clients_.Make(MakeQuery("a.example", kA));
  Client& second = clients_.Make(MakeQuery("b.example", kA));
  EXPECT_EQ(ChainOf(first.exchange().query()).Run(first.exchange()), Verdict::kPending);
  EXPECT_EQ(ChainOf(second.exchange().query()).Run(second.exchange()), Verdict::kAnswered);
  EXPECT_EQ(second.rcode(), 2);
}

TEST_F(Worker, MetricsCarryCoreDnssNames) {
  Start(". {\n errors\n forward . " + Other() + "\n}");
  Ask("www.example.org");
  MetricFamilies families;
  chains_->CollectMetrics(families);
  upstream_.CollectMetrics(families);
  std::vector<std::string> names;
  for (const auto& family : families) names.push_back(family.name);
  EXPECT_THAT(names, Contains("coredns_forward_requests_total"));
  EXPECT_THAT(names, Contains("coredns_forward_responses_total"));
  EXPECT_THAT(names, Contains("portolan_upstream_questions_total"));
}

TEST_F(Worker, ZonesCarryCoreDnssServerLabel) {
  Start("a.example:1053 b.example {\n}");
  std::vector<std::string> labels;
  for (const ZoneChain& zone : chains_->zones())
    labels.push_back(zone.zone.text + " " + zone.server);
  EXPECT_THAT(labels, ElementsAre("a.example. dns://:1053", "b.example. dns://:53", ". dns://:53"));
}

// A real listener in front, so that questions wait in its slots.
class Listening : public Worker {
 protected:
  void Listen() {
    ServerOptions options;
    options.listen = {{*IpAddress::Parse("127.0.0.1"), 0}};
    auto server = Server::Start(loop_, options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->SetChains(chains_->zones());
    socket_ = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage address;
    const socklen_t length = server_->addresses().at(0).ToSockaddr(&address);
    ASSERT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  void Send(std::string_view name) {
    const test::Bytes query = MakeQuery(name, kA);
    ASSERT_EQ(send(socket_.get(), query.data(), query.size(), 0),
              static_cast<ssize_t>(query.size()));
  }
  // Answers in the reply that comes, -1 if none does.
  int Receive(absl::Duration limit = absl::Seconds(3)) {
    std::array<uint8_t, 4096> reply;
    ssize_t bytes = -1;
    test::RunUntil(
        loop_,
        [&] {
          if (bytes < 0) bytes = recv(socket_.get(), reply.data(), reply.size(), 0);
          return bytes >= 0;
        },
        limit);
    return bytes < 12 ? -1 : wire::Load16(&reply[6]);
  }

  std::unique_ptr<Server> server_;
  Fd socket_;
};

TEST_F(Listening, AQuestionOverUdpComesBackFromTheUpstream) {
  Start(kSeed);
  Listen();
  Send("www.example.org");
  EXPECT_EQ(Receive(), 1);
  EXPECT_EQ(server_->suspended(), 0u);
}

TEST_F(Listening, AQuestionThatWaitsEndsByTheConfigurationItBeganWith) {
  Start(". {\n errors\n forward . " + Other() + "\n}");
  Listen();
  test::Bytes asked;
  other_.udp = [&](const test::Bytes& query) {
    asked = query;
    return std::vector<test::Bytes>{};
  };
  Send("www.example.org");
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return !asked.empty(); }));
  Start(". {\n forward . /etc/resolv.conf\n}");
  server_->SetChains(chains_->zones());
  other_.SendUdp(test::Answer(asked, 2));
  // The reply frees the last use of the earlier chain, from within its own upstream.
  EXPECT_EQ(Receive(), 2);
  EXPECT_EQ(upstream_.flights(), 0u);
  Send("www.example.org");
  EXPECT_EQ(Receive(), 1);
}

TEST_F(Listening, AServerThatEndsLetsGoOfWhatWaits) {
  Start(". {\n forward . " + Other() + "\n}");
  Listen();
  other_.udp = [](const test::Bytes&) { return std::vector<test::Bytes>{}; };
  Send("www.example.org");
  ASSERT_TRUE(test::RunUntil(loop_, [&] { return upstream_.flights() == 1; }));
  routes_.reset();
  chains_.reset();
  server_.reset();
  EXPECT_EQ(upstream_.flights(), 0u);
}

}  // namespace
}  // namespace portolan::dns
