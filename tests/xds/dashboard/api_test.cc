#include "xds/dashboard/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "tests/common/http/served.h"
#include "tests/directory/small_cluster.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
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
  TypeStatus refused = synced;
  refused.type_url = "type.googleapis.com/portolan.v1.ProxyConfig";
  refused.acknowledged_generation = 6;
  refused.nacks = 1;
  refused.last_nack = "Corefile:3: no such directive";
  b.types = {synced, refused};
  ClientStatus a = b;
  a.node_id = "default/frontend-1";
  a.types = {};
  return {b, a};
}

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    PutSmallCluster(directory);
    directory.Commit();
  }

  std::string Get(std::string_view target, std::string_view fields = {}) {
    return http::Fetch(served.address(), "GET", target, fields);
  }
  json GetJson(std::string_view target) {
    return json::parse(http::BodyOf(Get(target)), nullptr, false);
  }
  static std::string Etag(const std::string& answer) {
    const size_t at = answer.find("ETag: ") + 6;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }

  Directory directory;
  std::vector<ClientStatus> clients = TwoClients();
  size_t asked_names = 0;
  std::unique_ptr<Api> api;
  http::Served served{[this](http::Server& server) {
    api = std::make_unique<Api>(
        server, [this] { return directory.snapshot(); },
        [this](size_t most_names) {
          asked_names = most_names;
          return clients;
        });
  }};
};

TEST_F(ApiTest, NamesAreListedWithWhereTheyLead) {
  EXPECT_EQ(GetJson("/api/v1/names"), json::parse(R"({
    "generation": 1,
    "names": [
      {"namespace": "default", "name": "backend", "dnsName": "backend.default.svc.cluster.local",
       "type": "ClusterIP", "headless": false, "clusterIPs": ["10.43.0.123", "fd43::123"],
       "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
       "endpoints": {"ready": 1, "serving": 2, "terminating": 1}},
      {"namespace": "default", "name": "backend-headless",
       "dnsName": "backend-headless.default.svc.cluster.local",
       "type": "ClusterIP", "headless": true, "clusterIPs": [], "ports": [],
       "endpoints": {"ready": 0, "serving": 0, "terminating": 0}},
      {"namespace": "web", "name": "external", "dnsName": "external.web.svc.cluster.local",
       "type": "ExternalName", "headless": false, "clusterIPs": [], "ports": [],
       "externalName": "www.Example.com",
       "endpoints": {"ready": 0, "serving": 0, "terminating": 0}},
      {"namespace": "web", "name": "none", "dnsName": "none.web.svc.cluster.local",
       "type": "ClusterIP", "headless": false, "clusterIPs": ["10.43.0.7"], "ports": [],
       "endpoints": {"ready": 0, "serving": 0, "terminating": 0}}]})"));
}

TEST_F(ApiTest, ClientsAreShownWithSomeOfTheNamesThatTheyAskedFor) {
  clients[0].types[0].names = {"default/backend"};
  const json answer = GetJson("/debug/clients?node=default%2Ffrontend-2");
  EXPECT_EQ(asked_names, Api::kMostDebugNames);
  ASSERT_EQ(answer["clients"].size(), 1u);
  EXPECT_EQ(answer["clients"][0]["types"][0]["names"], json({"default/backend"}));
  GetJson("/api/v1/sidecars");
  EXPECT_EQ(asked_names, 0u);
}

TEST_F(ApiTest, NamesComeInPages) {
  const json first = GetJson("/api/v1/names?limit=3");
  EXPECT_EQ(first["names"].size(), 3u);
  EXPECT_EQ(first["continue"], "web/external");
  const json second = GetJson("/api/v1/names?limit=3&continue=web%2Fexternal");
  EXPECT_EQ(second["names"].size(), 1u);
  EXPECT_EQ(second["names"][0]["name"], "none");
  EXPECT_FALSE(second.contains("continue"));
}

TEST_F(ApiTest, NamesAreFilteredByNamespaceAndSearch) {
  EXPECT_EQ(GetJson("/api/v1/names?namespace=web")["names"].size(), 2u);
  EXPECT_EQ(GetJson("/api/v1/names?search=10.43.0.7")["names"].size(), 1u);
}

TEST_F(ApiTest, OneNameHasItsEndpointsInFull) {
  const json name = GetJson("/api/v1/names/default/backend");
  EXPECT_EQ(name["endpointSlices"][1]["endpoints"][0]["addresses"][0], "fd42::1");
  EXPECT_EQ(name["internalTrafficPolicy"], "Cluster");
  EXPECT_EQ(name["labels"], json({{"app", "backend"}}));
  EXPECT_EQ(name["resourceVersion"], "42");
}

TEST_F(ApiTest, AnUnchangedDirectoryIsNotSentAgain) {
  const std::string etag = Etag(Get("/api/v1/names"));
  EXPECT_THAT(Get("/api/v1/names", "If-None-Match: " + etag + "\r\n"), StartsWith("HTTP/1.1 304 "));
  EXPECT_THAT(Get("/api/v1/names/default/backend", "If-None-Match: \"x\", W/" + etag + "\r\n"),
              StartsWith("HTTP/1.1 304 "));
  served.On([&](http::Server&) {
    directory.RemoveService({"web", "none"});
    directory.Commit();
    return 0;
  });
  const std::string changed = Get("/api/v1/names", "If-None-Match: " + etag + "\r\n");
  EXPECT_THAT(changed, StartsWith("HTTP/1.1 200 "));
  EXPECT_NE(Etag(changed), etag);
}

TEST_F(ApiTest, TagsOfAnEarlierRunDoNotMatch) {
  std::unique_ptr<Api> other;
  http::Served restarted([&](http::Server& server) {
    other = std::make_unique<Api>(
        server, [this] { return directory.snapshot(); },
        [](size_t) { return std::vector<ClientStatus>(); });
  });
  EXPECT_NE(Etag(http::Fetch(restarted.address(), "GET", "/api/v1/names")),
            Etag(Get("/api/v1/names")));
}

TEST_F(ApiTest, SidecarsSayHowFarTheyFollow) {
  const json answer = GetJson("/api/v1/sidecars");
  ASSERT_EQ(answer["sidecars"].size(), 2u);
  EXPECT_EQ(answer["sidecars"][0]["node"], "default/frontend-1");
  EXPECT_EQ(answer["sidecars"][1], json::parse(R"({
    "node": "default/frontend-2", "version": "portolan-proxy 0.1.0", "peer": "ipv4:10.42.0.8:1",
    "connected": "2023-11-14T22:13:20.000Z",
    "types": [
      {"type": "Service", "typeUrl": "type.googleapis.com/portolan.v1.Service", "status": "SYNCED",
       "wildcard": true, "subscribedNames": 0, "sentGeneration": 7, "acknowledgedGeneration": 7,
       "lastSent": "2023-11-14T22:13:20.000Z", "lastAcknowledged": "2023-11-14T22:13:20.000Z",
       "lagMs": 0, "lastPropagationMs": 0.0, "nacks": 0},
      {"type": "ProxyConfig", "typeUrl": "type.googleapis.com/portolan.v1.ProxyConfig",
       "status": "NACKED", "wildcard": true, "subscribedNames": 0, "sentGeneration": 7,
       "acknowledgedGeneration": 6, "lastSent": "2023-11-14T22:13:20.000Z",
       "lastAcknowledged": "2023-11-14T22:13:20.000Z", "lagMs": 0,
       "lastPropagationMs": 0.0, "nacks": 1, "lastNack": "Corefile:3: no such directive"}]})"));
  const json first = GetJson("/api/v1/sidecars?limit=1");
  const std::string next = first["continue"];
  EXPECT_EQ(next, "default/frontend-1 ipv4:10.42.0.8:1");
  EXPECT_EQ(
      GetJson("/api/v1/sidecars?continue=default%2Ffrontend-1+ipv4:10.42.0.8:1")["sidecars"].size(),
      1u);
}

TEST(SyncWord, NamesTheStateOfASubscription) {
  TypeStatus status;
  EXPECT_EQ(SyncWord(status), "NOT SENT");
  status.last_sent = absl::FromUnixSeconds(1);
  status.sent_generation = 2;
  EXPECT_EQ(SyncWord(status), "STALE");
  status.acknowledged_generation = 2;
  EXPECT_EQ(SyncWord(status), "SYNCED");
  status.last_nack = "no";
  EXPECT_EQ(SyncWord(status), "NACKED");
}

TEST_F(ApiTest, ErrorsAreJsonThatSaysWhat) {
  for (const char* target :
       {"/api/v1/names?limit=0", "/api/v1/names?limit=5001", "/api/v1/names?limit=x",
        "/api/v1/names?limit=-1", "/api/v1/names?continue=x", "/api/v1/names?continue=/x",
        "/api/v1/sidecars?limit=0"}) {
    const std::string answer = Get(target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << target;
    EXPECT_TRUE(json::parse(http::BodyOf(answer))["error"].is_string()) << target;
  }
  for (const char* target : {"/api/v1/names/default/none", "/api/v1/names/x", "/api/v1/names/a/b/c",
                             "/api/v1/names/", "/api/v2/names", "/api/"}) {
    const std::string answer = Get(target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 ")) << target;
    EXPECT_TRUE(json::parse(http::BodyOf(answer))["error"].is_string()) << target;
  }
  EXPECT_THAT(http::Fetch(served.address(), "POST", "/api/v1/names"), StartsWith("HTTP/1.1 405 "));
}

}  // namespace
}  // namespace portolan::xds
