#include "xds/dashboard/sidecar_pages.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/xds/dashboard/fake_sidecars.h"
#include "tests/xds/dashboard/served_api.h"
#include "tests/xds/policy/cluster.h"
#include "xds/dashboard/peers.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<ClientStatus> TwoClients() {
  const absl::Time then = absl::FromUnixSeconds(1'700'000'000);
  ClientStatus b;
  b.node_id = "default/frontend-2";
  b.version = "portolan-proxy 0.1.0";
  b.peer = "ipv4:10.42.0.8:1";
  b.connected = then;
  TypeStatus synced;
  synced.type_url = "type.googleapis.com/portolan.v1.Service";
  synced.wildcard = true;
  synced.sent_generation = synced.acknowledged_generation = 7;
  synced.last_sent = synced.last_acknowledged = then;
  synced.propagation_p50 = absl::Milliseconds(2);
  synced.propagation_p99 = absl::Microseconds(12500);
  TypeStatus refused = synced;
  refused.type_url = "type.googleapis.com/portolan.v1.ProxyConfig";
  refused.acknowledged_generation = 6;
  refused.propagation_p50 = refused.propagation_p99 = absl::ZeroDuration();
  refused.nacks = 1;
  refused.last_nack = "Corefile:3: no such directive";
  b.types = {synced, refused};
  ClientStatus a = b;
  a.node_id = "default/frontend-1";
  a.types = {};
  return {b, a};
}

class SidecarPagesTest : public ::testing::Test {
 protected:
  SidecarPagesTest() {
    v1::SidecarReport report;
    report.mutable_feed()->set_in_sync(true);
    sidecars.Report("default/frontend-1", report);
  }
  std::string FetchWith(absl::Status status) {
    sidecars.answer = std::move(status);
    return api.Get("/api/v1/sidecars/default/frontend-1/config_dump");
  }
  std::vector<std::string> Nodes(const std::string& query) {
    const json answer = api.GetJson("/api/v1/sidecars?" + query);
    std::vector<std::string> nodes;
    for (const json& sidecar : answer["sidecars"]) nodes.push_back(sidecar["node"]);
    return nodes;
  }

  FakeSidecars sidecars;
  FakeReplicas replicas;
  std::vector<ClientStatus> clients = TwoClients();
  size_t asked_names = 0;
  ServedApi api{{.clients =
                     [this](size_t most_names) {
                       asked_names = most_names;
                       return clients;
                     },
                 .sidecars = &sidecars,
                 .replicas = &replicas}};
};

TEST_F(SidecarPagesTest, SidecarsSayHowFarTheyFollow) {
  const json answer = api.GetJson("/api/v1/sidecars");
  ASSERT_EQ(answer["sidecars"].size(), 2u);
  EXPECT_EQ(answer["sidecars"][0]["node"], "default/frontend-1");
  EXPECT_EQ(answer["sidecars"][0]["lag"], nullptr);
  EXPECT_EQ(answer["sidecars"][0]["rates"], nullptr);
  EXPECT_EQ(answer["sidecars"][0]["health"], "ok");
  EXPECT_EQ(answer["sidecars"][1], json::parse(R"({
    "node": "default/frontend-2", "version": "portolan-proxy 0.1.0", "peer": "ipv4:10.42.0.8:1",
    "connected": "2023-11-14T22:13:20.000Z", "replica": "control-a", "rates": null,
    "health": "nacked",
    "healthWhy": "it refused the last ProxyConfig: Corefile:3: no such directive",
    "lag": {"p50Ms": 2.0, "p99Ms": 12.5, "worstType": "Service"},
    "types": [
      {"type": "Service", "typeUrl": "type.googleapis.com/portolan.v1.Service", "status": "SYNCED",
       "wildcard": true, "subscribedNames": 0, "sentGeneration": 7, "acknowledgedGeneration": 7,
       "lastSent": "2023-11-14T22:13:20.000Z", "lastAcknowledged": "2023-11-14T22:13:20.000Z",
       "lagMs": 0, "lastPropagationMs": 0.0, "propagationP50Ms": 2.0, "propagationP99Ms": 12.5,
       "nacks": 0},
      {"type": "ProxyConfig", "typeUrl": "type.googleapis.com/portolan.v1.ProxyConfig",
       "status": "NACKED", "wildcard": true, "subscribedNames": 0, "sentGeneration": 7,
       "acknowledgedGeneration": 6, "lastSent": "2023-11-14T22:13:20.000Z",
       "lastAcknowledged": "2023-11-14T22:13:20.000Z", "lagMs": 0,
       "lastPropagationMs": 0.0, "nacks": 1, "lastNack": "Corefile:3: no such directive"}]})"));
  EXPECT_EQ(asked_names, 0u);
}

TEST_F(SidecarPagesTest, ComeInPagesAndLaggardsFirstWhereThatIsAsked) {
  EXPECT_THAT(Nodes("limit=1"), ElementsAre("default/frontend-1"));
  EXPECT_EQ(api.GetJson("/api/v1/sidecars?limit=1")["continue"],
            "default/frontend-1 ipv4:10.42.0.8:1");
  EXPECT_THAT(Nodes("continue=default%2Ffrontend-1+ipv4:10.42.0.8:1"),
              ElementsAre("default/frontend-2"));
  EXPECT_THAT(Nodes("search=end-2"), ElementsAre("default/frontend-2"));
  EXPECT_THAT(Nodes("sort=lag"), ElementsAre("default/frontend-2", "default/frontend-1"));
  EXPECT_EQ(api.GetJson("/api/v1/sidecars?sort=lag&limit=1")["continue"],
            "12500 default/frontend-2 ipv4:10.42.0.8:1");
  EXPECT_THAT(Nodes("sort=lag&continue=12500+default%2Ffrontend-2+ipv4:10.42.0.8:1"),
              ElementsAre("default/frontend-1"));
  for (const char* query : {"limit=0", "sort=age", "sort=lag&continue=x"}) {
    EXPECT_THAT(api.Get(std::string("/api/v1/sidecars?") + query), StartsWith("HTTP/1.1 400 "))
        << query;
  }
}

TEST_F(SidecarPagesTest, ThoseOfOtherReplicasAreBetweenThem) {
  replicas.answers = {{"control-b", json::parse(R"({"continue": "x", "sidecars": [
      {"node": "default/frontend-15", "peer": "p", "lag": {"p99Ms": 5.0}}, 7]})")}};
  EXPECT_THAT(Nodes(""),
              ElementsAre("default/frontend-1", "default/frontend-15", "default/frontend-2"));
  EXPECT_THAT(Nodes("sort=lag"),
              ElementsAre("default/frontend-2", "default/frontend-15", "default/frontend-1"));
  const json two = api.GetJson("/api/v1/sidecars?limit=2");
  EXPECT_EQ(two["sidecars"].size(), 2u);
  EXPECT_EQ(two["continue"], "default/frontend-15 p");
}

// With what sidecars ordinarily say: another replica takes no more than so much.
TEST_F(SidecarPagesTest, APageForAnotherReplicaIsWithinWhatItTakes) {
  v1::SidecarReport report;
  for (int i = 0; i < 6; ++i) {
    report.mutable_feed()->add_types()->set_type_url("type.googleapis.com/portolan.v1.Endpoints");
  }
  for (int i = 0; i < 3; ++i) report.mutable_dns()->add_upstreams()->set_address("10.43.0.10:53");
  for (int i = 0; i < 64; ++i) {
    report.mutable_names()->add_names()->set_name("some-service.of-some-namespace");
    report.mutable_flows()->add_flows()->set_service("of-some-namespace/some-service");
  }
  const ClientStatus one = clients[0];
  clients.clear();
  for (int i = 0; i < 1100; ++i) {
    clients.push_back(one);
    clients.back().node_id = fmt::format("default/frontend-{:05}", i);
    clients.back().types.assign(6, one.types[0]);
  }
  // Of one only, as FakeSidecars::Find looks through them all.
  sidecars.all.clear();
  sidecars.Report("default/frontend-00000", report);
  const std::string page = http::BodyOf(api.Get("/api/v1/sidecars?limit=5000&scope=local"));
  const json answer = json::parse(page);
  ASSERT_EQ(answer["sidecars"].size(), 1000u);
  EXPECT_EQ(answer["continue"], "default/frontend-00999 ipv4:10.42.0.8:1");
  const json& first = answer["sidecars"][0];
  EXPECT_EQ(first["report"]["dns"]["upstreams"].size(), 3u);
  EXPECT_FALSE(first["report"].contains("names") || first["report"].contains("flows"));
  EXPECT_LT(page.size() + 999 * first["report"].dump().size(), Peers::kMaxAnswerBytes);
  const json alone = api.GetJson("/api/v1/sidecars?node=default%2Ffrontend-00000");
  EXPECT_EQ(alone["sidecars"][0]["report"]["names"]["names"].size(), 64u);
  EXPECT_EQ(alone["sidecars"][0]["report"]["flows"]["flows"].size(), 64u);
}

TEST_F(SidecarPagesTest, ClientsAreShownWithSomeOfTheNamesThatTheyAskedFor) {
  clients[0].types[0].names = {"default/backend"};
  const json answer = api.GetJson("/debug/clients?node=default%2Ffrontend-2");
  EXPECT_EQ(asked_names, SidecarPages::kMostDebugNames);
  ASSERT_EQ(answer["clients"].size(), 1u);
  EXPECT_EQ(answer["clients"][0]["types"][0]["names"], json({"default/backend"}));
}

TEST_F(SidecarPagesTest, AQuestionGoesToTheSidecarAndItsAnswerComesBack) {
  const std::string answer =
      api.Get("/api/v1/sidecars/default/frontend-1/explain?name=backend&type=SRV&clusterDns=true");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json"));
  EXPECT_EQ(json::parse(http::BodyOf(answer)), json::parse(R"({"a": 1})"));
  EXPECT_EQ(sidecars.asked_of, "default/frontend-1");
  EXPECT_EQ(sidecars.asked.explain().name(), "backend");
  EXPECT_EQ(sidecars.asked.explain().type(), "SRV");
  EXPECT_TRUE(sidecars.asked.explain().with_cluster_dns());
}

TEST_F(SidecarPagesTest, AConnectionIsTestedByTheSidecar) {
  EXPECT_EQ(
      api.GetJson("/api/v1/sidecars/default/frontend-1/policy_test?to=db&port=5432&protocol=udp"),
      json::parse(R"({"a": 1, "ingress": []})"));
  EXPECT_EQ(sidecars.asked.policy_test().to(), "db");
  EXPECT_EQ(sidecars.asked.policy_test().port(), 5432u);
  EXPECT_EQ(sidecars.asked.policy_test().protocol(), "udp");
  // Which the sidecar refuses in words.
  api.Get("/api/v1/sidecars/default/frontend-1/policy_test?to=db&port=postgres");
  EXPECT_EQ(sidecars.asked.policy_test().port(), 0u);
}

TEST_F(SidecarPagesTest, WhoATestedConnectionIsLedToMustLetItIn) {
  api.Change([](Directory& directory) {
    directory.Put(MakePod("default", "frontend-1", {{"app", "frontend"}}, {"10.42.1.1"}));
    directory.Put(MakePod("default", "db", {{"app", "db"}}, {"10.42.1.2"}));
    directory.Put(MakeIngress("default", "doors", {{"app", "db"}}, {{{}, {Tcp(5432)}}}));
  });
  const auto test = [&](int port) {
    const std::string at = fmt::format("10.42.1.2:{}", port);
    sidecars.answer = fmt::format(
        R"({{"verdict": "allowed", "says": "E", "at": ["{0}"],
            "ways": [{{"at": "{0}", "verdict": "allowed", "audited": false, "says": "E"}}]}})",
        at);
    return api.GetJson(
        fmt::format("/api/v1/sidecars/default/frontend-1/policy_test?to=db&port={}", port));
  };
  json answer = test(5432);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["says"],
            "E; into default/db, rule 0 of NetworkPolicy/default/doors/ingress allows it");
  answer = test(80);
  EXPECT_EQ(answer["verdict"], "denied");
  EXPECT_EQ(answer["ingress"][0]["pod"], "default/db");
  EXPECT_EQ(answer["at"], json({"10.42.1.2:80"}));
  sidecars.answer = "[]";
  EXPECT_THAT(api.Get("/api/v1/sidecars/default/frontend-1/policy_test?to=db&port=80"),
              StartsWith("HTTP/1.1 502 "));
}

TEST_F(SidecarPagesTest, OneThatIsConnectedToAnotherReplicaIsAskedThroughThat) {
  replicas.answers = {{"control-b", NotFound("it is not connected")},
                      {"control-c", json::parse(R"({"b": 2})")}};
  EXPECT_EQ(api.GetJson("/api/v1/sidecars/default/far/config_dump"), json::parse(R"({"b": 2})"));
  EXPECT_THAT(api.Fetch("POST", "/api/v1/sidecars/default/far/logging?level=debug"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(replicas.asked, ElementsAre("GET /api/v1/sidecars/default/far/config_dump",
                                          "POST /api/v1/sidecars/default/far/logging?level=debug"));
  EXPECT_EQ(sidecars.asked_of, "");
  EXPECT_EQ(replicas.patience, Replicas::kSidecarPatience);
  replicas.answers[1].answer = absl::DeadlineExceededError("no answer within 1 s");
  const std::string late = api.Get("/api/v1/sidecars/default/far/config_dump");
  EXPECT_THAT(late, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(late, HasSubstr("control-c: no answer within 1 s"));
  EXPECT_THAT(api.Get("/api/v1/sidecars/default/far/config_dump?scope=local"),
              StartsWith("HTTP/1.1 404 "));
}

TEST_F(SidecarPagesTest, ADumpMayBeOfTheResourcesOfAType) {
  api.Get("/api/v1/sidecars/default/frontend-1/config_dump?type=Service&continue=a/b");
  EXPECT_EQ(sidecars.asked.config_dump().type(), "Service");
  EXPECT_EQ(sidecars.asked.config_dump().after(), "a/b");
}

TEST_F(SidecarPagesTest, WhatChangesSomethingTakesAPost) {
  const char kTarget[] = "/api/v1/sidecars/default/frontend-1/logging?level=debug";
  EXPECT_THAT(api.Get(kTarget), StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(sidecars.asked_of, "");
  EXPECT_THAT(api.Fetch("POST", kTarget), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(sidecars.asked.set_log_level().level(), "debug");
  EXPECT_THAT(api.Fetch("PUT", kTarget), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(api.Fetch("POST", "/api/v1/sidecars/default/frontend-1/config_dump"),
              StartsWith("HTTP/1.1 404 "));
}

TEST_F(SidecarPagesTest, AHeadIsAGetAndChangesNothing) {
  EXPECT_THAT(api.Fetch("HEAD", "/api/v1/sidecars/default/frontend-1/logging?level=debug"),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(sidecars.asked_of, "");
  EXPECT_THAT(api.Fetch("HEAD", "/api/v1/sidecars/default/frontend-1/explain?name=backend"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(sidecars.asked.explain().name(), "backend");
  api.Fetch("HEAD", "/api/v1/sidecars/default/far/explain?name=backend");
  EXPECT_THAT(replicas.asked, ElementsAre("GET /api/v1/sidecars/default/far/explain?name=backend"));
}

TEST_F(SidecarPagesTest, WhyThereIsNoAnswerIsInTheStatus) {
  EXPECT_THAT(FetchWith(NotFound("it is not connected")), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(FetchWith(FailedPrecondition("no")), StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(FetchWith(absl::ResourceExhaustedError("busy")), StartsWith("HTTP/1.1 503 "));
  const std::string late = FetchWith(absl::DeadlineExceededError("no answer"));
  EXPECT_THAT(late, StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(json::parse(http::BodyOf(late)), json::parse(R"({"error": "no answer"})"));
}

TEST_F(SidecarPagesTest, WhatIsNoJsonIsNotPassedOn) {
  sidecars.answer = "<script>";
  const std::string answer = api.Get("/api/v1/sidecars/default/frontend-1/config_dump");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(answer.find("<script>"), std::string::npos);
}

TEST_F(SidecarPagesTest, NorIsWhatIsNestedWithoutEnd) {
  sidecars.answer = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_THAT(api.Get("/api/v1/sidecars/default/frontend-1/config_dump"),
              StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(api.GetJson("/api/v1/explain?pod=default/frontend-1&name=x")["sidecar"]["error"],
              HasSubstr("nested too deeply"));
}

TEST_F(SidecarPagesTest, OtherPathsAreNotFound) {
  for (const char* target :
       {"/api/v1/sidecars/", "/api/v1/sidecars/default", "/api/v1/sidecars/default/config_dump",
        "/api/v1/sidecars//frontend-1/config_dump", "/api/v1/sidecars/default/frontend-1/quit"}) {
    EXPECT_THAT(api.Get(target), StartsWith("HTTP/1.1 404 ")) << target;
  }
  EXPECT_EQ(sidecars.asked_of, "");
}

}  // namespace
}  // namespace portolan::xds
