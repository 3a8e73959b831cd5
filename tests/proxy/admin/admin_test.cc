#include "proxy/admin/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

#include "common/status.h"
#include "tests/common/http/served.h"
#include "tests/directory/small_cluster.h"

namespace portolan::proxy {
namespace {

using http::BodyOf;
using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct FakeSource : AdminSource {
  Readiness Ready() override { return readiness; }
  bool Healthy() override { return !drained; }
  std::shared_ptr<const Snapshot> snapshot() override { return cluster; }
  bool WantsEndpoints(const std::string& service) override { return service == "default/asked"; }
  json ConfigDump() override { return {{"corefile", ".:53 {}\xff"}}; }
  void Policy(std::function<void(json)> done) override { done({{"known", true}}); }
  absl::StatusOr<json> HeldResources(const std::string& type, const std::string& after) override {
    if (type != "Service") return absl::InvalidArgumentError("type: no such type");
    return json{{"resources", {{"default/backend", after}}}};
  }
  void Connections(std::function<void(json)> done) override {
    loop->Post([done = std::move(done)] { done({{"connections", json::array()}}); });
  }
  void Explain(const ExplainRequest& request,
               std::function<void(absl::StatusOr<json>)> done) override {
    if (request.name.empty()) return done(InvalidArgument("name: what is to be looked up?"));
    done(json{{"name", request.name},
              {"type", request.type},
              {"port", request.port},
              {"clusterDns", request.with_cluster_dns}});
  }
  void TestPolicy(const PolicyTestRequest& request,
                  std::function<void(absl::StatusOr<json>)> done) override {
    if (request.to.empty()) return done(InvalidArgument("to: a name is needed"));
    done(json{{"to", request.to}, {"port", request.port}, {"protocol", request.protocol}});
  }
  absl::Status SetLogLevel(std::string text) override {
    if (text != "debug") return InvalidArgument("log level '{}' is none of debug", text);
    level = text;
    return absl::OkStatus();
  }
  void Drain() override { drained = true; }
  void Quit() override { quit = true; }

  EventLoop* loop = nullptr;
  Readiness readiness{true, "ready\nfeed: in sync"};
  std::shared_ptr<const Snapshot> cluster = SmallCluster();
  std::string level;
  bool drained = false;
  bool quit = false;
};

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    source.loop = &loop;
    metrics.AddSource([](MetricFamilies& families) {
      AddCounterSample(families, "portolan_x_total", "X.", {{"a", "b c"}}, 3);
      AddGaugeSample(families, "portolan_y", "Y.", {}, 1);
    });
    const std::vector<SocketAddress> loopback{*SocketAddress::Parse("127.0.0.1:0")};
    auto listening =
        Admin::Listen(loop, {.admin_listen = loopback, .pod_listen = loopback}, source, metrics);
    EXPECT_TRUE(listening.ok()) << listening.status();
    admin = std::move(*listening);
    admin_address = admin->admin_addresses().front();
    pod_address = admin->pod_addresses().front();
    thread = std::thread([this] { loop.Run(); });
  }
  ~AdminTest() override { Join(); }

  // Afterwards what the loop's thread wrote can be read here.
  void Join() {
    if (!thread.joinable()) return;
    loop.Post([this] { admin.reset(); });
    loop.Stop();
    thread.join();
  }
  std::string Get(std::string_view target) { return http::Fetch(admin_address, "GET", target); }
  std::string Post(std::string_view target) { return http::Fetch(admin_address, "POST", target); }
  std::string GetFromPod(std::string_view target) {
    return http::Fetch(pod_address, "GET", target, {}, "10.42.0.7:15020");
  }

  FakeSource source;
  MetricsPage metrics;
  EventLoop loop;
  std::unique_ptr<Admin> admin;
  SocketAddress admin_address;
  SocketAddress pod_address;
  std::thread thread;
};

TEST_F(AdminTest, ReadySaysSoOnBothServers) {
  EXPECT_THAT(Get("/ready"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("ready\nfeed: in sync\n")));
  EXPECT_THAT(GetFromPod("/ready"), StartsWith("HTTP/1.1 200 "));
  std::promise<void> done;
  loop.Post([&] {
    source.readiness = {false, "waiting for the first sync\n"};
    done.set_value();
  });
  done.get_future().wait();
  EXPECT_THAT(Get("/ready"),
              AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\nwaiting for the first sync\n")));
  EXPECT_THAT(GetFromPod("/ready"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(GetFromPod("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminTest, MetricsArePrometheusTextOrPlain) {
  const std::string prometheus = Get("/stats/prometheus");
  EXPECT_THAT(prometheus, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(prometheus, HasSubstr("portolan_x_total{a=\"b c\"} 3\n"));
  EXPECT_EQ(BodyOf(GetFromPod("/metrics")), BodyOf(prometheus));
  EXPECT_EQ(BodyOf(Get("/stats")), "portolan_x_total{a=\"b c\"}: 3\nportolan_y: 1\n");
}

TEST_F(AdminTest, ThePodFacingServerHasProbesAndMetricsAlone) {
  for (const char* target : {"/", "/stats", "/config_dump", "/names", "/connections",
                             "/quitquitquit", "/drain", "/logging"}) {
    EXPECT_THAT(GetFromPod(target), StartsWith("HTTP/1.1 404 ")) << target;
    EXPECT_THAT(http::Fetch(pod_address, "POST", target), StartsWith("HTTP/1.1 404 ")) << target;
  }
}

TEST_F(AdminTest, NamesAndEndpointsAreBounded) {
  json names = json::parse(BodyOf(Get("/names?limit=2")));
  EXPECT_EQ(names["names"].size(), 2u);
  EXPECT_EQ(names["more"], true);
  names = json::parse(BodyOf(Get("/names?namespace=web")));
  EXPECT_EQ(names["names"].size(), 2u);
  EXPECT_EQ(names["more"], false);
  const json endpoints = json::parse(BodyOf(Get("/endpoints?search=backend.default")));
  EXPECT_EQ(endpoints["endpoints"].size(), 1u);
  EXPECT_EQ(endpoints["endpoints"][0]["endpointSlices"].size(), 2u);
  EXPECT_THAT(Get("/names?limit=5001"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(AdminTest, EndpointsOnDemandAreSaidToBeHeldAskedForOrNotHeld) {
  Directory directory(Directory::Slices::kOfThoseAskedFor);
  for (const char* name : {"asked", "held", "other"}) {
    Service service;
    service.name = {"default", name};
    directory.Put(service);
  }
  directory.PutNoSlices("default/held");
  source.cluster = directory.Commit().snapshot;
  for (const char* page : {"names", "endpoints"}) {
    const json listed = json::parse(BodyOf(Get(std::string("/") + page)))[page];
    ASSERT_EQ(listed.size(), 3u);
    EXPECT_EQ(listed[0]["endpointsState"], "asked for");
    EXPECT_EQ(listed[0]["endpoints"], nullptr);
    EXPECT_EQ(listed[1]["endpointsState"], "held");
    EXPECT_EQ(listed[1]["endpoints"]["ready"], 0);
    EXPECT_EQ(listed[2]["endpointsState"], "not held");
  }
}

TEST_F(AdminTest, ConnectionsAreCollectedBeforeTheAnswer) {
  EXPECT_EQ(json::parse(BodyOf(Get("/connections"))), json::parse(R"({"connections": []})"));
}

TEST_F(AdminTest, ConfigDumpMayBeOfTheResourcesOfAType) {
  EXPECT_EQ(json::parse(BodyOf(Get("/config_dump?type=Service&continue=a%2Fb"))),
            json::parse(R"({"resources": {"default/backend": "a/b"}})"));
  EXPECT_THAT(Get("/config_dump?type=Pod"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(AdminTest, ShowsThePolicyInForce) {
  EXPECT_EQ(json::parse(BodyOf(Get("/policy")))["known"], true);
}

TEST_F(AdminTest, ConfigDumpSurvivesBytesThatAreNoText) {
  EXPECT_EQ(json::parse(BodyOf(Get("/config_dump")))["corefile"], ".:53 {}\xEF\xBF\xBD");
}

TEST_F(AdminTest, WhatChangesStateTakesPostAlone) {
  for (const char* target : {"/logging?level=debug", "/drain", "/quitquitquit"}) {
    EXPECT_THAT(Get(target), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: POST\r\n")));
  }
  Join();
  EXPECT_EQ(source.level, "");
  EXPECT_FALSE(source.drained);
  EXPECT_FALSE(source.quit);
}

TEST_F(AdminTest, PostsAreCarriedOut) {
  EXPECT_THAT(Post("/logging?level=debug"), EndsWith("log level debug\n"));
  EXPECT_THAT(Post("/logging?level=loud"),
              AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("'loud' is none of")));
  EXPECT_THAT(Post("/logging"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Post("/drain"), EndsWith("draining\n"));
  EXPECT_THAT(Post("/quitquitquit"), EndsWith("quitting\n"));
  Join();
  EXPECT_EQ(source.level, "debug");
  EXPECT_TRUE(source.drained);
  EXPECT_TRUE(source.quit);
}

TEST_F(AdminTest, APageOfAForeignSiteCannotQuitTheSidecar) {
  EXPECT_THAT(
      http::Fetch(admin_address, "POST", "/quitquitquit", "Origin: http://evil.example\r\n"),
      StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(http::Fetch(admin_address, "POST", "/quitquitquit", {}, "evil.example"),
              StartsWith("HTTP/1.1 403 "));
  Join();
  EXPECT_FALSE(source.quit);
}

TEST_F(AdminTest, ExplainsANameOrSaysWhatIsWrongWithIt) {
  EXPECT_EQ(json::parse(BodyOf(Get("/explain?name=backend&type=AAAA&port=443&clusterDns=true"))),
            json::parse(R"({"name": "backend", "type": "AAAA", "port": 443, "clusterDns": true})"));
  EXPECT_THAT(Get("/explain?name=backend&port=https"), StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(json::parse(BodyOf(Get("/explain?name=backend")))["clusterDns"], false);
  const std::string answer = Get("/explain");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("name: what is to be looked up?"));
}

TEST_F(AdminTest, TestsAConnectionOrSaysWhatIsWrongWithIt) {
  EXPECT_EQ(json::parse(BodyOf(Get("/policy_test?to=backend&port=80&protocol=udp"))),
            json::parse(R"({"to": "backend", "port": 80, "protocol": "udp"})"));
  for (const char* query : {"?to=backend", "?to=backend&port=http", "?port=80"}) {
    EXPECT_THAT(Get(std::string("/policy_test") + query), StartsWith("HTTP/1.1 400 ")) << query;
  }
}

}  // namespace
}  // namespace portolan::proxy
