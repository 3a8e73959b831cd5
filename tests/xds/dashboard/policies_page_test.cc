#include "xds/dashboard/policies_page.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/common/http/served.h"
#include "tests/xds/dashboard/served_api.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr char kApis[] = "DNSEgressPolicy/shop/apis";

EnforcementByPolicy Ours() { return {{kApis, {3, 1, 0}}, {"DNSEgressPolicy/a/b", {2, 0, 1}}}; }

ReplicaAnswer Other(json policies) {
  return {"control-b", json{{"policies", std::move(policies)}}};
}

std::optional<EnforcementByPolicy> Count(std::vector<ReplicaAnswer> answers) {
  FakeReplicas replicas;
  replicas.answers = std::move(answers);
  std::optional<EnforcementByPolicy> counted;
  CountWithOthers(Ours(), replicas, [&](const auto& all) { counted = all; });
  EXPECT_EQ(replicas.asked, std::vector<std::string>{"GET /api/v1/policies"});
  return counted;
}

TEST(PoliciesPage, SidecarsOfOtherReplicasCountAndTheirPodsDoNot) {
  const auto counted = Count({Other({{{"name", kApis},
                                      {"selectedPods", 3u},
                                      {"enforcingSidecars", 1u},
                                      {"partlyEnforced", 1u}},
                                     {{"name", "DNSEgressPolicy/c/d"}, {"enforcingSidecars", 9u}}}),
                              Other(json::array())});
  ASSERT_TRUE(counted.has_value());
  EXPECT_EQ(counted->at(kApis), (Enforcement{3, 2, 1}));
  EXPECT_EQ(counted->size(), 2u) << "what we do not know is not there";
}

TEST(PoliciesPage, WhileOneDoesNotAnswerThereIsNoCount) {
  EXPECT_EQ(Count({Other(json::array()), {"control-c", absl::UnavailableError("gone")}}),
            std::nullopt);
}

TEST(PoliciesPage, RubbishOfAnotherReplicaCountsNothing) {
  const auto counted =
      Count({Other({{{"name", kApis}, {"enforcingSidecars", -1}}, 7, json::array()}),
             {"control-c", json(3)},
             {"control-d", json{{"policies", 4}}}});
  ASSERT_TRUE(counted.has_value());
  EXPECT_EQ(*counted, Ours());
}

TEST(PoliciesPage, ShowsThemByName) {
  FakeReplicas replicas;
  replicas.answers = {Other({{{"name", kApis}, {"enforcingSidecars", 1u}}})};
  const AllReplicas all(&replicas, "");
  http::Served served([&](http::Server& server) { AddPoliciesPage(server, Ours, all); });
  const json page =
      json::parse(http::BodyOf(http::Fetch(served.address(), "GET", "/api/v1/policies")));
  EXPECT_EQ(page["policies"][0]["name"], "DNSEgressPolicy/a/b");
  EXPECT_EQ(
      page["policies"][1],
      (json{
          {"name", kApis}, {"selectedPods", 3}, {"enforcingSidecars", 2}, {"partlyEnforced", 0}}));
  const json local = json::parse(
      http::BodyOf(http::Fetch(served.address(), "GET", "/api/v1/policies?scope=local")));
  EXPECT_EQ(local["policies"][1]["enforcingSidecars"], 1);
}

}  // namespace
}  // namespace portolan::xds
