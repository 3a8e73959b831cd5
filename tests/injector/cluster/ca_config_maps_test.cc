#include "injector/cluster/ca_config_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/kubernetes/scripted_api.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

std::string Event(const char* type, const Json& object) {
  return Json({{"type", type}, {"object", object}}).dump() + "\n";
}

const std::string kListEnd =
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}})"
    "\n";

Json Namespace(const std::string& name) {
  return {{"kind", "Namespace"}, {"metadata", {{"name", name}, {"resourceVersion", "5"}}}};
}

Json Map(const std::string& name_space, const std::string& bundle) {
  return {
      {"kind", "ConfigMap"},
      {"metadata", {{"name", "portolan-ca"}, {"namespace", name_space}, {"resourceVersion", "5"}}},
      {"data", {{"ca.crt", bundle}}}};
}

class ConfigMaps : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& namespaces, const std::string& maps = "") {
    maps_.Start();
    std::string events;
    for (const std::string& name : namespaces) events += Event("ADDED", Namespace(name));
    api_.For("/namespaces").Head().Bytes(events + kListEnd);
    api_.For("/configmaps").Head().Bytes(maps + kListEnd);
    maps_.SetBundle("BUNDLE");
  }
  // What was written since, as "POST /path".
  std::vector<std::string> Written() {
    test::RunFor(loop_, absl::Milliseconds(60));
    std::vector<std::string> written;
    for (; seen_ < api_.count(); ++seen_) {
      const ApiRequest& request = api_[seen_].request();
      if (request.method != "GET") written.push_back(request.method + " " + request.target);
    }
    return written;
  }

  EventLoop loop_;
  test::ScriptedApi api_;
  size_t seen_ = 0;
  CaConfigMaps maps_{loop_, api_};
};

TEST_F(ConfigMaps, EachNamespaceButThoseOfKubernetesGetsOne) {
  Start({"default", "kube-system", "kube-public", "kube-node-lease", "portolan-system"});
  EXPECT_THAT(Written(),
              UnorderedElementsAre("POST /api/v1/namespaces/default/configmaps",
                                   "POST /api/v1/namespaces/portolan-system/configmaps"));
  const Json body = Json::parse(api_.last().request().body);
  EXPECT_EQ(body["data"], Json({{"ca.crt", "BUNDLE"}}));
  EXPECT_EQ(body["metadata"]["labels"]["app.kubernetes.io/managed-by"], "portolan-injector");
}

TEST_F(ConfigMaps, OnlyThoseOfItsNameAreAskedFor) {
  maps_.Start();
  EXPECT_THAT(api_.For("/configmaps").target(),
              HasSubstr("fieldSelector=metadata.name=portolan-ca"));
}

TEST_F(ConfigMaps, WhatIsRightIsNotWritten) {
  Start({"default"}, Event("ADDED", Map("default", "BUNDLE")));
  EXPECT_THAT(Written(), ElementsAre());
}

TEST_F(ConfigMaps, WhatIsWrongOrChangedByHandIsPutRight) {
  Start({"default"}, Event("ADDED", Map("default", "OLD")));
  EXPECT_THAT(Written(), ElementsAre("PATCH /api/v1/namespaces/default/configmaps/portolan-ca"));
  EXPECT_EQ(api_.last().request().content_type, "application/merge-patch+json");
  api_.last().Answer(200, "{}");
  EXPECT_THAT(Written(), ElementsAre());
  api_[1].Bytes(Event("MODIFIED", Map("default", "BY HAND")));
  EXPECT_THAT(Written(), ElementsAre("PATCH /api/v1/namespaces/default/configmaps/portolan-ca"));
}

TEST_F(ConfigMaps, ADeletedOneAndThatOfANewNamespaceAreMade) {
  Start({"default"}, Event("ADDED", Map("default", "BUNDLE")));
  EXPECT_THAT(Written(), ElementsAre());
  api_[1].Bytes(Event("DELETED", Map("default", "BUNDLE")));
  EXPECT_THAT(Written(), ElementsAre("POST /api/v1/namespaces/default/configmaps"));
  api_.last().Answer(201, "{}");
  api_[0].Bytes(Event("ADDED", Namespace("fresh")));
  EXPECT_THAT(Written(), ElementsAre("POST /api/v1/namespaces/fresh/configmaps"));
}

TEST_F(ConfigMaps, ANamespaceThatEndsGetsNone) {
  Json ending = Namespace("ending");
  ending["metadata"]["deletionTimestamp"] = "2026-11-26T12:00:00Z";
  maps_.Start();
  api_.For("/namespaces").Head().Bytes(Event("ADDED", ending) + kListEnd);
  api_.For("/configmaps").Head().Bytes(kListEnd);
  maps_.SetBundle("BUNDLE");
  EXPECT_THAT(Written(), ElementsAre());
}

TEST_F(ConfigMaps, ANewBundleGoesToAllOfThemAFewAtATime) {
  std::vector<std::string> namespaces;
  for (int i = 0; i < 20; ++i) namespaces.push_back("n" + std::to_string(i));
  Start(namespaces);
  size_t written = 0;
  for (std::vector<std::string> now = Written(); !now.empty(); now = Written()) {
    EXPECT_LE(now.size(), 8u);
    written += now.size();
    for (size_t i = 0; i < api_.count(); ++i) {
      if (api_[i].open() && api_[i].request().method == "POST") api_[i].Answer(201, "{}");
    }
  }
  EXPECT_EQ(written, 20u);
  maps_.SetBundle("NEXT");
  EXPECT_THAT(Written(), ::testing::SizeIs(8));
}

TEST_F(ConfigMaps, NamespacesThatRefuseDoNotKeepOthersFromTheirs) {
  std::vector<std::string> namespaces;
  for (int i = 0; i < 12; ++i) namespaces.push_back("n" + std::to_string(i));
  Start(namespaces);
  size_t written = 0;
  for (int round = 0; round < 4; ++round) {
    written += Written().size();
    for (size_t i = 0; i < api_.count(); ++i) {
      if (api_[i].open() && api_[i].request().method == "POST") {
        api_[i].Answer(403, R"({"kind":"Status","code":403,"message":"exceeded quota"})");
      }
    }
  }
  EXPECT_EQ(written, 12u) << "each once";
}

TEST_F(ConfigMaps, NothingIsWrittenBeforeAllIsKnown) {
  maps_.Start();
  maps_.SetBundle("BUNDLE");
  api_.For("/namespaces").Head().Bytes(Event("ADDED", Namespace("default")) + kListEnd);
  EXPECT_THAT(Written(), ElementsAre());
}

}  // namespace
}  // namespace portolan::injector
