#include "proxy/explain/explainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/status.h"
#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"
#include "tests/proxy/explain/fake_sidecar.h"
#include "tests/proxy/explain/odd_server.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ExplainerTest : public ::testing::Test {
 protected:
  absl::StatusOr<json> Explain(const ExplainRequest& request) { return Ask(explainer_, request); }

  absl::StatusOr<json> Ask(Explainer& explainer, const ExplainRequest& request) {
    std::optional<absl::StatusOr<json>> got;
    explainer.Explain(request, [&](absl::StatusOr<json> explained) {
      got = std::move(explained);
      loop_.Stop();
    });
    if (!got) loop_.Run();
    return *got;
  }

  EventLoop loop_;
  FakeSidecar sidecar_{loop_};
  Explainer explainer_{loop_, sidecar_, "cluster.local"};
};

TEST_F(ExplainerTest, ShowsEachLookupUntilOneHasAnAnswer) {
  const auto explained = Explain({.name = "backend"});
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_EQ((*explained)["type"], "A");
  EXPECT_EQ((*explained)["ndots"], 5);
  EXPECT_EQ((*explained)["search"].size(), 3u);
  ASSERT_EQ((*explained)["lookups"].size(), 2u);
  const json& first = (*explained)["lookups"][0];
  EXPECT_EQ(first["name"], "backend.default.svc.cluster.local.");
  EXPECT_EQ(first["rcode"], "NXDOMAIN");
  EXPECT_EQ(first["plugin"], "kubernetes");
  EXPECT_EQ(first["zone"], "cluster.local.");
  const json& second = (*explained)["lookups"][1];
  EXPECT_EQ(second["answers"][0], "backend.svc.cluster.local. 30 IN A 10.43.0.123");
  EXPECT_EQ(sidecar_.questions, 2);
}

TEST_F(ExplainerTest, GoesOnToTheServiceTheObjectsAndTheConnection) {
  const json explained = *Explain({.name = "backend"});
  const json& lookup = explained["lookups"][1];
  EXPECT_EQ(lookup["service"]["endpointsState"], "held default/backend");
  EXPECT_EQ(lookup["objects"][0]["resourceVersion"], "42");
  ASSERT_EQ(explained["connections"].size(), 1u);
  EXPECT_EQ(explained["connections"][0]["endpoints"][0]["open"], 7);
  EXPECT_EQ(explained["connections"][0]["endpoints"][0]["next"], "chosen");
  EXPECT_TRUE(explained["feed"]["inSync"].get<bool>());
  EXPECT_FALSE(explained.contains("clusterDns"));
}

TEST_F(ExplainerTest, SaysWhatPolicyMakesOfTheNamesAndTheConnection) {
  PolicyCompiler compiler;
  compiler.SetPolicies({DnsPolicyOf("apis", {ToNames({"example.com"}, {})})}, {});
  sidecar_.explained_policy.rules = compiler.Commit();
  sidecar_.explained_policy.partly = true;
  const json explained = *Explain({.name = "backend"});
  EXPECT_EQ(explained["policy"]["enforced"], "PartlyEnforced");
  EXPECT_THAT(explained["lookups"][1]["policy"]["says"].get<std::string>(),
              HasSubstr("of the cluster"));
  EXPECT_EQ(explained["connections"][0]["outcome"], "policy_denied");
}

TEST_F(ExplainerTest, WhatAutopathCompletesLeadsToWhatTheNameThatItFoundMayReach) {
  PolicyInput apis = DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})});
  apis.isolates_names = false;
  PolicyCompiler compiler;
  compiler.SetPolicies({apis}, {});
  sidecar_.explained_policy.rules = compiler.Commit();
  sidecar_.completes = true;
  const json explained = *Explain({.name = "api.example.com", .port = 443});
  ASSERT_EQ(explained["lookups"].size(), 1u);
  EXPECT_EQ(explained["lookups"][0]["completed"], "api.example.com.");
  EXPECT_EQ(explained["connections"][0]["outcome"], "passed_through");
  EXPECT_THAT(explained["connections"][0]["policy"]["says"].get<std::string>(),
              HasSubstr("has api.example.com., which leads"));
}

TEST_F(ExplainerTest, AsksTheClusterDnsAtTheSameTime) {
  OddServer server(loop_);
  sidecar_.servers = {server.address()};
  const json explained = *Explain({.name = "backend", .with_cluster_dns = true});
  EXPECT_EQ(explained["lookups"].size(), 2u);
  EXPECT_EQ(explained["clusterDns"]["lookups"].size(), 2u);
  EXPECT_EQ(explained["clusterDns"]["lookups"][1]["answers"], explained["lookups"][1]["answers"]);
}

TEST_F(ExplainerTest, ADroppedQuestionIsSaidAndTheNextNameAsked) {
  sidecar_.silent = false;
  const json explained = *Explain({.name = "silent"});
  EXPECT_EQ(explained["lookups"].size(), 4u);
  EXPECT_EQ(explained["lookups"][0]["error"], "no reply: it was dropped");
}

TEST_F(ExplainerTest, SaysWhichLookupHadNoAnswerInTime) {
  Explainer impatient(loop_, sidecar_, "cluster.local", absl::ZeroDuration());
  const auto explained = Ask(impatient, {.name = "silent"});
  ASSERT_TRUE(explained.ok()) << explained.status();
  ASSERT_EQ((*explained)["lookups"].size(), 1u);
  EXPECT_EQ((*explained)["lookups"][0]["error"], "no answer in time");
}

TEST_F(ExplainerTest, RefusesWhatIsNoNameOrNoType) {
  EXPECT_TRUE(absl::IsInvalidArgument(Explain({.name = ""}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Explain({.name = "a..b"}).status()));
  EXPECT_THAT(std::string(Message(Explain({.name = "a", .type = "AAAAA"}).status())),
              HasSubstr("did you mean 'AAAA'"));
}

TEST_F(ExplainerTest, PassesOverANameThatASearchDomainMakesTooLong) {
  std::string name;
  while (name.size() < 240) name += "0123456789.";
  const auto explained = Explain({.name = name + "a"});
  ASSERT_TRUE(explained.ok()) << explained.status();
  const json& lookups = (*explained)["lookups"];
  ASSERT_EQ(lookups.size(), 4u);
  EXPECT_EQ(lookups[0]["rcode"], "NXDOMAIN") << "the name itself";
  EXPECT_EQ(lookups[1]["error"], "this is no name that can be asked for");
  EXPECT_EQ(sidecar_.questions, 1);
}

TEST_F(ExplainerTest, BoundsHowManyAreUnderWayAndForgetsThemWithIt) {
  {
    Explainer busy(loop_, sidecar_, "cluster.local");
    for (size_t i = 0; i < Explainer::kMostAtOnce; ++i) {
      busy.Explain({.name = "backend"}, [](const auto&) { ADD_FAILURE() << "it is gone"; });
    }
    absl::Status refused;
    busy.Explain({.name = "backend"}, [&](const auto& got) { refused = got.status(); });
    EXPECT_TRUE(absl::IsResourceExhausted(refused));
  }
  EXPECT_TRUE(Explain({.name = "backend"}).ok());
}

}  // namespace
}  // namespace portolan::proxy
