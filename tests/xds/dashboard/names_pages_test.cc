#include "xds/dashboard/names_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xds/dashboard/fake_sidecars.h"
#include "tests/xds/dashboard/served_api.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

class NamesPagesTest : public ::testing::Test {
 protected:
  NamesPagesTest() {
    const absl::Time then = absl::FromUnixSeconds(1'700'000'000);
    sidecars.asked_for_backend = {2, 7, then, {{"default/front", 7, then}}};
    api.Change([](Directory& directory) { PutSmallCluster(directory); });
  }

  std::vector<std::string> Names(const std::string& query) {
    const json answer = api.GetJson("/api/v1/names?" + query);
    std::vector<std::string> names;
    for (const json& name : answer["names"]) {
      names.push_back(name["namespace"].get<std::string>() + "/" + name["name"].get<std::string>());
    }
    return names;
  }
  static std::string Etag(const std::string& answer) {
    const size_t at = answer.find("ETag: ") + 6;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }

  FakeReplicas replicas;
  std::string asked_at;
  FakeSidecars sidecars;
  ServedApi api{{.replica = "control-a",
                 .sidecars = &sidecars,
                 .replicas = &replicas,
                 .at = [this](const ObjectName& name, absl::Time time, const auto& done) {
                   asked_at = name.ToString() + " " + absl::FormatTime(time, absl::UTCTimeZone());
                   if (name.name == "gone") return done(NotFound("history begins at noon"));
                   done(json{{"at", "then"}});
                 }}};
};

TEST_F(NamesPagesTest, NamesAreListedWithWhereTheyLead) {
  const json answer = api.GetJson("/api/v1/names");
  EXPECT_EQ(answer["total"], 4);
  EXPECT_EQ(answer["generation"], 1);
  EXPECT_EQ(answer["replicas"], json::parse(R"([{"name": "control-a", "self": true}])"));
  EXPECT_EQ(answer["names"][0], json::parse(R"({
    "namespace": "default", "name": "backend", "dnsName": "backend.default.svc.cluster.local",
    "type": "ClusterIP", "headless": false, "clusterIPs": ["10.43.0.123", "fd43::123"],
    "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    "endpoints": {"ready": 1, "serving": 2, "terminating": 1},
    "labels": {"app": "backend"}, "hostnames": 0, "warnings": [],
    "lastChange": "2023-11-14T22:13:20.000Z",
    "askedBy": {"pods": 2, "queries": 7, "lastAsked": "2023-11-14T22:13:20.000Z"}})"));
  EXPECT_EQ(answer["names"][1]["hostnames"], 1);
}

TEST_F(NamesPagesTest, WhatOtherReplicasWereAskedIsAdded) {
  replicas.answers = {{"control-b", json::parse(R"({"names": [
          {"namespace": "default", "name": "backend",
           "askedBy": {"pods": 1, "queries": 5, "lastAsked": "2026-11-26T11:00:00.000Z"}},
          {"namespace": "web", "name": "other", "askedBy": {"pods": 1}}, 7, {"askedBy": []}]})")},
                      {"control-c", absl::DeadlineExceededError("no answer within 1 s")}};
  const json answer = api.GetJson("/api/v1/names?search=back%20end&limit=3");
  EXPECT_THAT(replicas.asked, ElementsAre("GET /api/v1/names?search=back%20end&limit=3"));
  EXPECT_EQ(answer["names"][0]["askedBy"],
            json::parse(R"({"pods": 3, "queries": 12, "lastAsked": "2026-11-26T11:00:00.000Z"})"));
  EXPECT_EQ(answer["replicas"], json::parse(R"([{"name": "control-a", "self": true},
      {"name": "control-b"}, {"name": "control-c", "error": "no answer within 1 s"}])"));
  api.GetJson("/api/v1/names?scope=local");
  EXPECT_EQ(replicas.asked.size(), 1u) << "a replica that is asked asks no other";
}

TEST_F(NamesPagesTest, NamesComeInPages) {
  const json first = api.GetJson("/api/v1/names?limit=3");
  EXPECT_EQ(first["names"].size(), 3u);
  EXPECT_EQ(first["total"], 4);
  EXPECT_EQ(first["continue"], "web/external");
  const json second = api.GetJson("/api/v1/names?limit=3&continue=web%2Fexternal");
  EXPECT_EQ(second["names"].size(), 1u);
  EXPECT_EQ(second["names"][0]["name"], "none");
  EXPECT_EQ(second["total"], 4);
  EXPECT_FALSE(second.contains("continue"));
  EXPECT_THAT(Names("offset=1&limit=2"), ElementsAre("default/backend-headless", "web/external"));
  EXPECT_THAT(Names("offset=4"), ElementsAre());
  EXPECT_THAT(Names("offset=1&limit=2&continue=web%2Fexternal"), ElementsAre("web/none"));
  EXPECT_THAT(Names("offset=0&limit=1"), ElementsAre("default/backend"));
}

TEST_F(NamesPagesTest, AreSearchedByNameAddressAndLabel) {
  EXPECT_THAT(Names("namespace=web"), ElementsAre("web/external", "web/none"));
  EXPECT_THAT(Names("search=BACK"), ElementsAre("default/backend", "default/backend-headless"));
  EXPECT_THAT(Names("search=example.com"), ElementsAre("web/external"));
  EXPECT_THAT(Names("search=default/head"), ElementsAre("default/backend-headless"));
  EXPECT_THAT(Names("search=web/"), ElementsAre("web/external", "web/none"));
  EXPECT_THAT(Names("search=back%20less"), ElementsAre("default/backend-headless"));
  EXPECT_THAT(Names("search=app%3Dbackend"), ElementsAre("default/backend"));
  EXPECT_THAT(Names("label=app"), ElementsAre("default/backend"));
  EXPECT_THAT(Names("label=app%3Dother"), ElementsAre());
  EXPECT_THAT(Names("search=10.43.0"), ElementsAre("default/backend", "web/none"));
}

TEST_F(NamesPagesTest, AnAddressIsFoundForwardAndBackward) {
  EXPECT_THAT(Names("search=10.43.0.7"), ElementsAre("web/none"));
  EXPECT_THAT(Names("search=fd43::0123"), ElementsAre("default/backend"));
  EXPECT_THAT(Names("search=10.42.0.9"), ElementsAre("default/backend-headless"));
  // 10.42.0.1's pod has another address that no slice of the headless Service lists.
  api.Change([](Directory& directory) {
    Pod pod;
    pod.name = {"default", "backend-1"};
    pod.ips = {Ip("10.42.0.1"), Ip("10.42.7.7")};
    directory.Put(pod);
  });
  EXPECT_THAT(Names("search=10.42.7.7"), ElementsAre("default/backend"));
  EXPECT_THAT(Names("search=10.42.0.77"), ElementsAre());
}

TEST_F(NamesPagesTest, TheLastChangedComeFirstWhereThatIsAsked) {
  api.Change([](Directory& directory) {
    Service none;
    none.name = {"web", "none"};
    none.cluster_ips = {Ip("10.43.0.8")};
    directory.Put(none);
  });
  EXPECT_EQ(Names("sort=changed")[0], "web/none");
  const json first = api.GetJson("/api/v1/names?sort=changed&limit=1");
  EXPECT_EQ(first["continue"], "1");
  EXPECT_THAT(Names("sort=changed&limit=1&continue=1"), ElementsAre("default/backend"));
}

TEST_F(NamesPagesTest, OnlyThoseWithAWarningAreListedWhereThatIsAsked) {
  EXPECT_THAT(Names("warning=no-endpoints"), ElementsAre("web/none"));
  EXPECT_THAT(Names("warning=none-ready"), ElementsAre("default/backend-headless"));
  EXPECT_THAT(Names("warning=any"), ElementsAre("default/backend-headless", "web/none"));
  EXPECT_THAT(api.Get("/api/v1/names?warning=no-endpoint"),
              HasSubstr("'no-endpoint' is none; there are any, no-endpoints, none-ready"));
}

TEST_F(NamesPagesTest, APodThatWentOverToAnotherReplicaIsOne) {
  replicas.answers = {{"control-b", json::parse(R"({"askedBy": {"pods": 2, "queries": 15,
      "lastAsked": "2026-11-26T11:00:00.000Z", "byPod": [
      {"node": "default/front", "queries": 10, "lastAsked": "2026-11-26T11:00:00.000Z"},
      {"node": "a/b", "queries": 5, "lastAsked": null}, 7]}})")}};
  EXPECT_EQ(api.GetJson("/api/v1/names/default/backend")["askedBy"], json::parse(R"({
      "pods": 3, "queries": 15, "lastAsked": "2026-11-26T11:00:00.000Z", "byPod": [
      {"node": "default/front", "queries": 10, "lastAsked": "2026-11-26T11:00:00.000Z"},
      {"node": "a/b", "queries": 5, "lastAsked": null}]})"));
}

TEST_F(NamesPagesTest, OneNameHasItsEndpointsRecordsAndObjects) {
  replicas.answers = {{"control-b", json::parse(R"({"askedBy": {"pods": 1, "queries": 5,
      "lastAsked": null, "byPod": [{"node": "a/b", "queries": 5, "lastAsked": null}]}})")}};
  const json name = api.GetJson("/api/v1/names/default/backend");
  EXPECT_EQ(name["endpointSlices"][1]["endpoints"][0]["addresses"][0], "fd42::1");
  EXPECT_EQ(name["internalTrafficPolicy"], "Cluster");
  EXPECT_EQ(name["labels"], json({{"app", "backend"}}));
  EXPECT_EQ(name["resourceVersion"], "42");
  EXPECT_EQ(name["askedBy"]["byPod"], json::parse(R"([
      {"node": "default/front", "queries": 7, "lastAsked": "2023-11-14T22:13:20.000Z"},
      {"node": "a/b", "queries": 5, "lastAsked": null}])"));
  EXPECT_EQ(name["records"][0], json::parse(R"({"name": "backend.default.svc.cluster.local.",
      "type": "A", "ttl": 30, "data": "10.43.0.123"})"));
  EXPECT_EQ(name["objects"], json::parse(R"([
      {"kind": "Service", "namespace": "default", "name": "backend", "resourceVersion": "42",
       "arrived": "2023-11-14T22:13:20.000Z"},
      {"kind": "EndpointSlice", "namespace": "default", "name": "backend-4",
       "resourceVersion": "43", "arrived": "2023-11-14T22:13:20.000Z"},
      {"kind": "EndpointSlice", "namespace": "default", "name": "backend-6",
       "resourceVersion": "43", "arrived": "2023-11-14T22:13:20.000Z"}])"));
  const json none = api.GetJson("/api/v1/names/default/backend-headless");
  EXPECT_EQ(none["records"], json::array());
  EXPECT_EQ(none["noRecords"][0], json::parse(R"({
      "name": "backend-headless.default.svc.cluster.local.", "type": "A", "answer": "NXDOMAIN",
      "why": "a headless Service without ready endpoints has no name"})"));
}

TEST_F(NamesPagesTest, HistoryIsAskedWhatANameLedToThen) {
  EXPECT_EQ(api.GetJson("/api/v1/names/web/none?at=2026-11-23T03:45:48.5Z"),
            json({{"at", "then"}}));
  EXPECT_EQ(asked_at, "web/none 2026-11-23T03:45:48.5+00:00");
  EXPECT_TRUE(replicas.asked.empty());
  EXPECT_THAT(api.Get("/api/v1/names/web/gone?at=2026-11-23T03:45:48Z"),
              StartsWith("HTTP/1.1 404 "));
  replicas.answers = {{"control-b", NotFound("history begins at one")},
                      {"control-c", json{{"gap", "x"}}},
                      {"control-d", json{{"at", "elsewhere"}}}};
  EXPECT_EQ(api.GetJson("/api/v1/names/web/gone?at=2026-11-23T03:45:48Z"),
            json({{"at", "elsewhere"}}));
  for (const char* at : {"noon", "infinite-future", "2999-01-01T00:00:00Z"}) {
    EXPECT_THAT(api.Get(std::string("/api/v1/names/web/none?at=") + at),
                StartsWith("HTTP/1.1 400 "))
        << at;
  }
}

TEST_F(NamesPagesTest, WhatIsUnchangedIsNotSentAgain) {
  const std::string etag = Etag(api.Get("/api/v1/names"));
  EXPECT_THAT(api.Get("/api/v1/names", "If-None-Match: " + etag + "\r\n"),
              StartsWith("HTTP/1.1 304 "));
  const std::string one = Etag(api.Get("/api/v1/names/default/backend"));
  EXPECT_THAT(api.Get("/api/v1/names/default/backend", "If-None-Match: \"x\", W/" + one + "\r\n"),
              StartsWith("HTTP/1.1 304 "));
  api.Change([](Directory& directory) { directory.RemoveService({"web", "none"}); });
  const std::string changed = api.Get("/api/v1/names", "If-None-Match: " + etag + "\r\n");
  EXPECT_THAT(changed, StartsWith("HTTP/1.1 200 "));
  EXPECT_NE(Etag(changed), etag);
  EXPECT_EQ(Names("").size(), 3u);
}

TEST_F(NamesPagesTest, ErrorsAreJsonThatSaysWhat) {
  for (const char* target :
       {"/api/v1/names?limit=0", "/api/v1/names?limit=5001", "/api/v1/names?limit=x",
        "/api/v1/names?limit=-1", "/api/v1/names?continue=x", "/api/v1/names?continue=/x",
        "/api/v1/names?offset=-1", "/api/v1/names?sort=age", "/api/v1/names?warning=x",
        "/api/v1/names?sort=changed&continue=x"}) {
    const std::string answer = api.Get(target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << target;
    EXPECT_TRUE(json::parse(http::BodyOf(answer))["error"].is_string()) << target;
  }
  for (const char* target : {"/api/v1/names/default/none", "/api/v1/names/x", "/api/v1/names/a/b/c",
                             "/api/v1/names/", "/api/v2/names", "/api/"}) {
    const std::string answer = api.Get(target);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 ")) << target;
    EXPECT_TRUE(json::parse(http::BodyOf(answer))["error"].is_string()) << target;
  }
  EXPECT_THAT(api.Fetch("POST", "/api/v1/names"), StartsWith("HTTP/1.1 405 "));
}

}  // namespace
}  // namespace portolan::xds
