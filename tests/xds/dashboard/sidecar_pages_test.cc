#include "xds/dashboard/sidecar_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/common/http/served.h"
#include "xds/dashboard/api.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct FakeSidecars : AskedSidecars {
  void Ask(std::string_view node_id, v1::Question question, Done done) override {
    asked_of = std::string(node_id);
    asked = question;
    done(answer);
  }
  std::optional<ReportedSidecar> Find(std::string_view node_id) const override {
    if (node_id != "default/frontend-1") return std::nullopt;
    return sidecar;
  }
  std::vector<ReportedSidecar> All() const override { return {sidecar}; }
  AskedBy AskedFor(std::string_view, size_t) const override { return {}; }

  ReportedSidecar sidecar;
  absl::StatusOr<std::string> answer = "{\"a\": 1}";
  std::string asked_of;
  v1::Question asked;
};

class SidecarPagesTest : public ::testing::Test {
 protected:
  std::string Fetch(std::string_view method, std::string_view target) {
    return http::Fetch(served.address(), method, target);
  }
  std::string FetchWith(absl::Status status) {
    sidecars.answer = std::move(status);
    return Fetch("GET", "/api/v1/sidecars/default/frontend-1/config_dump");
  }

  FakeSidecars sidecars;
  std::unique_ptr<Api> api;
  http::Served served{[this](http::Server& server) {
    api = std::make_unique<Api>(
        server, [] { return std::make_shared<const Snapshot>(); },
        [](size_t) {
          ClientStatus one{"default/frontend-1", "0.1.0", "p", absl::Now(), {}};
          ClientStatus other = one;
          other.node_id = "default/other";
          return std::vector<ClientStatus>{one, other};
        },
        "cluster.local", &sidecars);
  }};
};

TEST_F(SidecarPagesTest, AQuestionGoesToTheSidecarAndItsAnswerComesBack) {
  const std::string answer = Fetch(
      "GET", "/api/v1/sidecars/default/frontend-1/explain?name=backend&type=SRV&clusterDns=true");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json"));
  EXPECT_EQ(json::parse(http::BodyOf(answer)), json::parse(R"({"a": 1})"));
  EXPECT_EQ(sidecars.asked_of, "default/frontend-1");
  EXPECT_EQ(sidecars.asked.explain().name(), "backend");
  EXPECT_EQ(sidecars.asked.explain().type(), "SRV");
  EXPECT_TRUE(sidecars.asked.explain().with_cluster_dns());
}

TEST_F(SidecarPagesTest, ADumpMayBeOfTheResourcesOfAType) {
  Fetch("GET", "/api/v1/sidecars/default/frontend-1/config_dump?type=Service&continue=a/b");
  EXPECT_EQ(sidecars.asked.config_dump().type(), "Service");
  EXPECT_EQ(sidecars.asked.config_dump().after(), "a/b");
}

TEST_F(SidecarPagesTest, WhatChangesSomethingTakesPostOrPut) {
  const char kTarget[] = "/api/v1/sidecars/default/frontend-1/logging?level=debug";
  EXPECT_THAT(Fetch("GET", kTarget), StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(sidecars.asked_of, "");
  for (const char* method : {"POST", "PUT"}) {
    sidecars.asked.Clear();
    EXPECT_THAT(Fetch(method, kTarget), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(sidecars.asked.set_log_level().level(), "debug");
  }
  EXPECT_THAT(Fetch("POST", "/api/v1/sidecars/default/frontend-1/config_dump"),
              StartsWith("HTTP/1.1 404 "));
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
  const std::string answer = Fetch("GET", "/api/v1/sidecars/default/frontend-1/config_dump");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(answer.find("<script>"), std::string::npos);
}

TEST_F(SidecarPagesTest, OtherPathsAreNotFound) {
  for (const char* target :
       {"/api/v1/sidecars/", "/api/v1/sidecars/default", "/api/v1/sidecars/default/config_dump",
        "/api/v1/sidecars//frontend-1/config_dump", "/api/v1/sidecars/default/frontend-1/quit"}) {
    EXPECT_THAT(Fetch("GET", target), StartsWith("HTTP/1.1 404 ")) << target;
  }
  EXPECT_EQ(sidecars.asked_of, "");
}

TEST_F(SidecarPagesTest, SidecarsAreListedWithTheirLastReport) {
  auto report = std::make_shared<v1::SidecarReport>();
  report->mutable_feed()->set_in_sync(true);
  report->mutable_feed()->set_source("control plane");
  report->mutable_dns()->set_queries(7);
  auto& rcode = *report->mutable_dns()->add_responses();
  rcode.set_rcode("NXDOMAIN");
  rcode.set_count(2);
  report->mutable_dns()->add_upstreams()->set_address("10.43.0.10:53");
  report->mutable_forwarder()->set_bytes_up(5);
  report->mutable_endpoints()->set_held(3);
  const absl::Time then = absl::FromUnixSeconds(1'700'000'000);
  served.On([&](http::Server&) {
    sidecars.sidecar = {"default/frontend-1", then, then, report};
    return 0;
  });
  const json answer = json::parse(http::BodyOf(Fetch("GET", "/api/v1/sidecars")));
  EXPECT_EQ(answer["sidecars"][0]["report"], json::parse(R"({
    "received": "2023-11-14T22:13:20.000Z", "started": "2023-11-14T22:13:20.000Z",
    "feed": {"inSync": true, "source": "control plane", "types": []},
    "dns": {"queries": 7, "responses": {"NXDOMAIN": 2}, "cacheHits": 0, "cacheMisses": 0,
            "upstreams": [{"address": "10.43.0.10:53", "answers": 0, "failures": 0,
                           "failedProbes": 0}]},
    "forwarder": {"connections": 0, "failures": 0, "active": 0, "bytesUp": 5, "bytesDown": 0,
                  "udpFlows": 0, "udpBytesUp": 0, "udpBytesDown": 0},
    "endpoints": {"held": 3, "wanted": 0}})"));
  EXPECT_FALSE(answer["sidecars"][1].contains("report"));
}

}  // namespace
}  // namespace portolan::xds
