#include "xds/dashboard/compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kName[] = "backend.default.svc.cluster.local.";

json Lookup(const std::string& name, const std::string& rcode, json answers = json::array()) {
  return {{"name", name}, {"rcode", rcode}, {"answers", std::move(answers)}};
}
json Addresses(std::initializer_list<const char*> addresses, int ttl = 30) {
  json lines = json::array();
  for (const char* address : addresses) {
    lines.push_back(std::string(kName) + " " + std::to_string(ttl) + " IN A " + address);
  }
  return lines;
}

// All three have the same.
class CompareTest : public ::testing::Test {
 protected:
  CompareTest() {
    json mine = Lookup(kName, "NOERROR", Addresses({"10.43.0.7"}));
    mine["plugin"] = "kubernetes";
    mine["objects"] = {{{"kind", "Service"},
                        {"namespace", "default"},
                        {"name", "backend"},
                        {"resourceVersion", "42"}}};
    sidecar_ = {{"lookups", {mine}}, {"feed", {{"inSync", true}, {"age", "0"}}}};
    control_ = {{"lookups",
                 {Lookup(kName, "NOERROR",
                         {{{"name", kName}, {"type", "A"}, {"ttl", 5}, {"data", "10.43.0.7"}}})}},
                {"objects", mine["objects"]}};
    sidecar_["clusterDns"] = {
        {"lookups", {Lookup(kName, "NOERROR", Addresses({"10.43.0.7"}, 17))}}};
  }

  json Differences() const { return Compare({{"sidecar", sidecar_}, {"controlPlane", control_}}); }
  json Only() const {
    const json all = Differences();
    EXPECT_THAT(all, SizeIs(1)) << all.dump(2);
    return all.empty() ? json::object() : all[0];
  }
  json& cluster_lookup() { return sidecar_["clusterDns"]["lookups"][0]; }
  json& sidecar_lookup() { return sidecar_["lookups"][0]; }

  json sidecar_, control_;
};

TEST_F(CompareTest, TtlAndOrderDoNotCount) {
  EXPECT_THAT(Differences(), SizeIs(0));
  sidecar_lookup()["answers"] = Addresses({"10.0.0.1", "10.0.0.2"});
  cluster_lookup()["answers"] = Addresses({"10.0.0.2", "10.0.0.1"}, 1);
  control_["lookups"][0]["answers"] = Addresses({"10.0.0.2", "10.0.0.1"});
  EXPECT_THAT(Differences(), SizeIs(0));
}

TEST_F(CompareTest, ARecordThatTheSidecarLacksIsMissingAndOneMoreIsExtra) {
  control_["lookups"][0]["answers"] = Addresses({"10.43.0.8"});
  const json all = Differences();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0]["between"], (json{"controlPlane", "sidecar"}));
  EXPECT_EQ(all[0]["kind"], "missing");
  EXPECT_EQ(all[0]["name"], kName);
  EXPECT_EQ(all[0]["what"], "the sidecar lacks A 10.43.0.8, which the control plane has");
  EXPECT_EQ(all[1]["kind"], "extra");
  EXPECT_EQ(all[1]["what"], "the sidecar has A 10.43.0.7, which the control plane lacks");
  EXPECT_EQ(all[0]["likely"], "the change is on its way: ask again");
}

TEST_F(CompareTest, AFeedThatIsNotInSyncIsTheLikelyCause) {
  sidecar_["feed"] = {{"inSync", false}, {"age", "5m0s"}};
  control_["lookups"][0]["answers"] = Addresses({"10.43.0.7", "10.43.0.8"});
  EXPECT_THAT(Only()["likely"].get<std::string>(), HasSubstr("not in sync (age 5m0s)"));
}

TEST_F(CompareTest, AnObjectInAnotherVersionIsStale) {
  control_["objects"][0]["resourceVersion"] = "43";
  const json stale = Only();
  EXPECT_EQ(stale["kind"], "stale");
  EXPECT_EQ(
      stale["what"],
      "the sidecar has Service default/backend as of resourceVersion 42, the control plane 43");
}

TEST_F(CompareTest, WhatThePodMayNotSeeIsNotExported) {
  sidecar_lookup() = Lookup(kName, "NXDOMAIN");
  sidecar_lookup()["plugin"] = "kubernetes";
  cluster_lookup() = Lookup(kName, "NXDOMAIN");
  const json one = Only();
  EXPECT_EQ(one["kind"], "rcode");
  EXPECT_EQ(one["what"], "the control plane says A 10.43.0.7, the sidecar NXDOMAIN");
  EXPECT_THAT(one["likely"].get<std::string>(), HasSubstr("portolan.dev/export-to"));
}

TEST_F(CompareTest, ADirectiveThatAnswersInFrontIsNamedWithItsPlace) {
  sidecar_lookup()["plugin"] = "hosts";
  sidecar_lookup()["steps"] = {{{"plugin", "hosts"}, {"at", "Corefile:7"}}};
  sidecar_lookup()["answers"] = Addresses({"10.9.9.9"});
  const json all = Differences();
  ASSERT_THAT(all, SizeIs(4));
  EXPECT_EQ(all[0]["likely"], "the sidecar's Corefile has `hosts` (Corefile:7) answer it");
  EXPECT_EQ(all[2]["between"], (json{"sidecar", "clusterDns"}));
  EXPECT_EQ(all[2]["likely"],
            "the sidecar's Corefile has `hosts` (Corefile:7) answer it, the cluster DNS's has not");
}

TEST_F(CompareTest, TheClusterDnsThatIsLateOrDownIsSaid) {
  cluster_lookup() = Lookup(kName, "NXDOMAIN");
  EXPECT_THAT(Only()["likely"].get<std::string>(), HasSubstr("out of its cache"));
  cluster_lookup() = {{"name", kName}, {"error", "no answer in time"}};
  const json silent = Only();
  EXPECT_EQ(silent["kind"], "unanswered");
  EXPECT_EQ(silent["what"], "the cluster DNS gave no answer: no answer in time");
}

TEST_F(CompareTest, ANameOutsideTheClusterMayDifferFromAnswerToAnswer) {
  sidecar_lookup()["plugin"] = "forward";
  sidecar_lookup()["answers"] = Addresses({"93.184.216.34"});
  cluster_lookup()["answers"] = Addresses({"93.184.216.35"});
  control_ = {{"lookups", json::array()}};
  const json all = Differences();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_THAT(all[0]["likely"].get<std::string>(), HasSubstr("from answer to answer"));
}

TEST_F(CompareTest, ASearchThatEndsElsewhereIsSaid) {
  const std::string second = "backend.svc.cluster.local.";
  sidecar_["clusterDns"]["lookups"] = {Lookup(kName, "NXDOMAIN"),
                                       Lookup(second, "NOERROR", Addresses({"10.1.1.1"}))};
  const json all = Differences();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0]["kind"], "rcode");
  EXPECT_EQ(all[1]["kind"], "search");
}

TEST_F(CompareTest, TheControlPlaneMaySpeakOfOneNameAlone) {
  control_ = {{"name", kName}, {"rcode", "NXDOMAIN"}, {"records", json::array()}};
  EXPECT_EQ(Only()["what"], "the control plane says NXDOMAIN, the sidecar A 10.43.0.7");
}

TEST_F(CompareTest, WhatOneSideHasNothingToSayOfIsNoDifference) {
  control_ = nullptr;
  sidecar_.erase("clusterDns");
  EXPECT_THAT(Differences(), SizeIs(0));
}

TEST_F(CompareTest, MoreThanAnHonestSidecarSaysIsNotLookedAt) {
  json& mine = sidecar_lookup();
  mine["rcode"] = "NXDOMAIN";
  mine["objects"][0]["resourceVersion"] = "41";
  const json object = mine["objects"][0];
  for (size_t i = 0; i < 2 * kMostObjects; ++i) mine["objects"].push_back(object);
  const json lookup = mine;
  for (size_t i = 0; i < 2 * kMostLookups; ++i) sidecar_["lookups"].push_back(lookup);
  sidecar_["feed"] = {{"inSync", false}, {"age", std::string(100'000, '9')}};
  sidecar_.erase("clusterDns");
  const json all = Differences();
  EXPECT_THAT(all, SizeIs(kMostLookups * (kMostObjects + 1)));
  EXPECT_LT(all.dump().size(), 5'000'000u);
}

// A message of 64 KiB, in the order that each server gave it.
TEST_F(CompareTest, AsManyRecordsAsAnAnswerHoldsAreCompared) {
  json ours = json::array();
  for (int i = 0; i < 4000; ++i) {
    ours.push_back(fmt::format("{} 30 IN A 10.42.{}.{}", kName, i / 256, i % 256));
  }
  control_["lookups"][0]["answers"] = ours;
  std::reverse(ours.begin(), ours.end());
  sidecar_lookup()["answers"] = ours;
  sidecar_.erase("clusterDns");
  EXPECT_THAT(Differences(), SizeIs(0));
}

TEST(Compare, SurvivesJsonOfAnotherShape) {
  for (const char* text :
       {"null", "[]", "1", R"({"sidecar": 1, "controlPlane": []})",
        R"({"sidecar": {"lookups": [1, {}, {"name": 5, "rcode": []}, {"answers": [1, {}, "x"]}],
            "feed": 3, "clusterDns": "x"}, "controlPlane": {"lookups": {}, "objects": [1]}})",
        R"({"sidecar": {"lookups": [{"name": "a.", "rcode": "NOERROR", "answers": ["a"],
            "objects": {}, "steps": [1, null]}]},
            "controlPlane": {"lookups": [{"name": "a", "rcode": "NXDOMAIN"}]}})"}) {
    EXPECT_TRUE(Compare(json::parse(text)).is_array()) << text;
  }
}

}  // namespace
}  // namespace portolan::xds
