#include "proxy/explain/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/directory/small_cluster.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class ObjectsTest : public ::testing::Test {
 protected:
  ObjectsTest() {
    PutSmallCluster(directory_);
    directory_.Put(Namespace{"default", {}, {}});
    directory_.Put(Namespace{"web", {}, {}});
    directory_.Commit();
  }

  json Why(const std::string& name, const std::string& type = "A", bool in_sync = true,
           const std::string& plugin = "kubernetes") {
    json lookup = {
        {"name", name}, {"plugin", plugin}, {"rcode", "NXDOMAIN"}, {"answers", json::array()}};
    AddWhy(*directory_.snapshot(), {"cluster.local", "default", in_sync}, type, lookup);
    return lookup;
  }
  std::string Words(const std::string& name, const std::string& type = "A") {
    return Why(name, type).value("why", "");
  }

  Directory directory_;
};

TEST_F(ObjectsTest, NamesTheObjectsThatAnAnswerIsMadeOf) {
  json lookup = {{"name", "backend.default.svc.cluster.local."},
                 {"plugin", "kubernetes"},
                 {"rcode", "NOERROR"},
                 {"answers", {"x"}}};
  AddObjects(*directory_.snapshot(), "cluster.local", lookup);
  EXPECT_EQ(lookup["service"]["name"], "backend");
  ASSERT_EQ(lookup["objects"].size(), 3u);
  EXPECT_EQ(lookup["objects"][0],
            json::parse(R"({"kind": "Service", "namespace": "default", "name": "backend",
                            "resourceVersion": "42", "arrived": "2023-11-14T22:13:20.000Z",
                            "version": ""})"));
  EXPECT_EQ(lookup["objects"][1]["kind"], "EndpointSlice");
  EXPECT_EQ(lookup["objects"][1]["resourceVersion"], "43");
}

TEST_F(ObjectsTest, OfAnotherLinksAnswerTheDirectoryHasNoObjects) {
  json lookup = {{"name", "backend.default.svc.cluster.local."}, {"plugin", "hosts"}};
  AddObjects(*directory_.snapshot(), "cluster.local", lookup);
  EXPECT_FALSE(lookup.contains("objects"));
}

TEST_F(ObjectsTest, AMissingNamespaceIsNamedWithTheNearest) {
  const json why = Why("backend.defualt.svc.cluster.local.");
  EXPECT_EQ(why["why"], "there is no namespace 'defualt', did you mean 'default'?");
  EXPECT_EQ(why["similar"], json::parse(R"(["default"])"));
}

TEST_F(ObjectsTest, AMissingServiceIsNamedWithItsLikeAndWithThoseOfOtherNamespaces) {
  EXPECT_EQ(Words("backnd.default.svc.cluster.local."),
            "namespace 'default' has no Service 'backnd', did you mean 'backend'?");
  const json why = Why("external.default.svc.cluster.local.");
  EXPECT_EQ(why["why"], "namespace 'default' has no Service 'external'; namespace web has one");
  EXPECT_EQ(why["similar"], json::parse(R"(["external.web"])"));
}

TEST_F(ObjectsTest, InAnotherNamespaceExportToMayHideIt) {
  EXPECT_THAT(Words("backend.web.svc.cluster.local."),
              HasSubstr("not exported to this pod's namespace (portolan.dev/export-to)"));
}

TEST_F(ObjectsTest, AHeadlessServiceWithoutReadyEndpointsSaysSo) {
  EXPECT_EQ(
      Words("backend-headless.default.svc.cluster.local."),
      "headless Service default/backend-headless has no ready endpoint (1 endpoints, 0 ready, "
      "0 terminating)");
}

TEST_F(ObjectsTest, AMissingFamilyPortOrTypeIsSaid) {
  EXPECT_EQ(Words("none.web.svc.cluster.local.", "AAAA"), "Service web/none has no IPv6 address");
  EXPECT_EQ(Words("none.web.svc.cluster.local.", "MX"),
            "Service web/none has no record of type MX");
  EXPECT_EQ(Words("_x._tcp.backend.default.svc.cluster.local.", "SRV"),
            "Service default/backend has no port or endpoint of that name");
  EXPECT_THAT(Words("external.web.svc.cluster.local."), HasSubstr("ExternalName"));
}

TEST_F(ObjectsTest, OtherPlacesOfTheSearchListAreExplained) {
  EXPECT_EQ(Words("backend.svc.cluster.local."), "there is no namespace 'backend'");
  EXPECT_THAT(Words("backend.cluster.local."),
              HasSubstr("Services are NAME.NAMESPACE.svc.cluster.local"));
  EXPECT_THAT(Words("default.svc.cluster.local."), HasSubstr("is a namespace, not a Service"));
}

TEST_F(ObjectsTest, AFeedThatIsNotInSyncIsSaid) {
  EXPECT_THAT(Why("x.default.svc.cluster.local.", "A", false, "forward")["why"].get<std::string>(),
              EndsWith("the cluster DNS was asked and its answer counts"));
  EXPECT_EQ(Why("x.default.svc.cluster.local.", "A", false)["why"],
            Words("x.default.svc.cluster.local."))
      << "it was answered all the same";
}

TEST_F(ObjectsTest, WhatAnotherLinkSaysIsNotExplainedByTheDirectory) {
  for (const char* plugin : {"acl", "template", "hosts", ""}) {
    json refused = {{"name", "backend.default.svc.cluster.local."},
                    {"plugin", plugin},
                    {"rcode", "REFUSED"},
                    {"answers", json::array()}};
    AddWhy(*directory_.snapshot(), {"cluster.local", "default", true}, "A", refused);
    EXPECT_FALSE(refused.contains("why")) << plugin;
  }
}

TEST_F(ObjectsTest, WhatHasAnAnswerOrIsNotTheClustersIsNotExplained) {
  EXPECT_EQ(Words("www.example.com."), "");
  json answered = {
      {"name", "x.default.svc.cluster.local."}, {"rcode", "NOERROR"}, {"answers", {"x"}}};
  AddWhy(*directory_.snapshot(), {"cluster.local", "default", true}, "A", answered);
  EXPECT_FALSE(answered.contains("why"));
}

}  // namespace
}  // namespace portolan::proxy
