#include "injector/cluster/followed_cluster.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include <nlohmann/json.hpp>

#include "tests/kubernetes/scripted_api.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr char kServiceCidrs[] = "/apis/networking.k8s.io/v1/servicecidrs";
constexpr char kNodes[] = "/api/v1/nodes";
constexpr char kControl[] = "/apis/discovery.k8s.io/v1/namespaces/portolan-system/endpointslices";
constexpr char kDns[] = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
constexpr char kServices[] = "/api/v1/services";
constexpr char kNamespaces[] = "/api/v1/namespaces";

std::string Added(const std::string& object) {
  return R"({"type":"ADDED","object":)" + object + "}\n";
}

const std::string kListEnd =
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}})"
    "\n";

std::string Slice(const std::string& name, const std::string& ports, const std::string& endpoints) {
  return Added(R"({"metadata":{"name":")" + name +
               R"(","namespace":"x","resourceVersion":"1"},"ports":)" + ports + R"(,"endpoints":)" +
               endpoints + "}");
}

class Cluster : public ::testing::Test {
 protected:
  void Start(const std::string& pod = "") {
    cluster_.emplace(
        loop_, api_,
        FollowedCluster::Options{
            .name_space = "portolan-system", .pod = pod, .gather = absl::ZeroDuration()},
        [this] { ++changes_; });
    cluster_->Start();
  }
  void Answer(const char* path, const std::string& events) {
    api_.For(path).Head().Bytes(events + kListEnd);
  }
  void AnswerAll() {
    api_.For("/version").Answer(200, R"({"major":"1","minor":"36+"})");
    Answer(kServiceCidrs, Added(R"({"metadata":{"name":"kubernetes"},)"
                                R"("spec":{"cidrs":["10.96.0.0/16","fd00:10:96::/112"]}})"));
    Answer(kNodes, Added(R"({"metadata":{"name":"a"},"spec":{"podCIDR":"10.42.0.0/24"}})") +
                       Added(R"({"metadata":{"name":"b"},"spec":{"podCIDR":"10.42.1.0/24",)"
                             R"("podCIDRs":["10.42.1.0/24","fd00:1::/64"]}})"));
    Answer(kControl, Slice("c",
                           R"([{"name":"status","port":15014,"protocol":"TCP"},)"
                           R"({"name":"xds","port":15012,"protocol":"TCP"}])",
                           R"([{"addresses":["10.42.0.7"],"conditions":{"ready":true}},)"
                           R"({"addresses":["10.42.1.7"],"conditions":{"ready":false}},)"
                           R"({"addresses":["10.42.1.9"]}])"));
    Answer(kDns, Slice("d",
                       R"([{"name":"dns-tcp","port":53,"protocol":"TCP"},)"
                       R"({"name":"dns","port":53,"protocol":"UDP"}])",
                       R"([{"addresses":["10.42.0.5"],"conditions":{}}])"));
    Answer(kNamespaces,
           Added(R"({"metadata":{"name":"vault","annotations":{"portolan.dev/capture":"all"}}})"));
    Answer(kServices, Added(R"({"metadata":{"name":"web","namespace":"shop"},)"
                            R"("spec":{"ports":[{"port":8080},{"port":9090}]}})"));
    test::RunFor(loop_, absl::Milliseconds(5));
  }
  static std::vector<std::string> Text(const auto& values) {
    std::vector<std::string> text;
    for (const auto& value : values) text.push_back(value.ToString());
    return text;
  }

  EventLoop loop_;
  test::ScriptedApi api_;
  std::optional<FollowedCluster> cluster_;
  int changes_ = 0;
};

TEST_F(Cluster, AllThatPodsNeedIsRead) {
  Start();
  AnswerAll();
  const ClusterFacts& facts = cluster_->facts();
  EXPECT_THAT(cluster_->missing(), IsEmpty());
  EXPECT_EQ(facts.version, (KubernetesVersion{1, 36}));
  EXPECT_THAT(Text(facts.service_cidrs), ElementsAre("10.96.0.0/16", "fd00:10:96::/112"));
  EXPECT_THAT(Text(facts.pod_cidrs), ElementsAre("10.42.0.0/23", "fd00:1::/64"));
  EXPECT_THAT(Text(facts.control_pods), UnorderedElementsAre("10.42.0.7:15012", "10.42.1.9:15012"));
  EXPECT_THAT(Text(facts.dns_endpoints), ElementsAre("10.42.0.5:53"));
  EXPECT_EQ(facts.service_port("shop", "web"), 8080);
  EXPECT_EQ(facts.service_port("shop", "other"), std::nullopt);
  EXPECT_TRUE(facts.demands_all("vault"));
  EXPECT_FALSE(facts.demands_all("shop"));
  EXPECT_GT(changes_, 0);
}

TEST_F(Cluster, TheSlicesOfTheTwoServicesAloneAreAskedFor) {
  Start();
  EXPECT_THAT(api_.For(kControl).target(),
              HasSubstr("labelSelector=kubernetes.io/service-name=portolan-control-peers"));
  EXPECT_THAT(api_.For(kDns).target(),
              HasSubstr("labelSelector=kubernetes.io/service-name=kube-dns"));
}

TEST_F(Cluster, SidecarsSpreadOverTheControlPlanesPods) {
  Start();
  AnswerAll();
  const SocketAddress first = cluster_->facts().control_pods[0];
  EXPECT_NE(cluster_->facts().control_pods[0], first);
  EXPECT_EQ(cluster_->facts().control_pods[0], first);
}

// A sidecar is told of eight at most, the first ones.
TEST_F(Cluster, OfManyControlPlanePodsEachIsSomebodysFirst) {
  Start();
  std::string endpoints;
  for (int i = 1; i <= 12; ++i) {
    endpoints += fmt::format(R"({}{{"addresses":["10.42.0.{}"]}})", i == 1 ? "" : ",", i);
  }
  Answer(kControl,
         Slice("c", R"([{"name":"xds","port":15012,"protocol":"TCP"}])", "[" + endpoints + "]"));
  test::RunFor(loop_, absl::Milliseconds(5));
  std::set<SocketAddress> first;
  for (int i = 0; i < 12; ++i) first.insert(cluster_->facts().control_pods.front());
  EXPECT_THAT(first, SizeIs(12));
}

TEST_F(Cluster, WhatIsMissingIsSaid) {
  Start("injector-1");
  EXPECT_THAT(cluster_->missing(), SizeIs(7));
  api_.For(kNodes).Answer(403, R"({"kind":"Status","code":403,"message":"no, you"})");
  EXPECT_THAT(cluster_->missing(), ::testing::Contains(HasSubstr("the role lacks watch on nodes")));
}

TEST_F(Cluster, AnApiServerWithoutServiceCidrsHasNone) {
  Start();
  api_.For(kServiceCidrs).Answer(404, "404 page not found\n");
  EXPECT_THAT(cluster_->missing(), Not(::testing::Contains(HasSubstr("servicecidrs"))));
}

TEST_F(Cluster, ChangesAreFollowed) {
  Start();
  AnswerAll();
  const int before = changes_;
  api_.For(kNodes).Bytes(
      R"({"type":"DELETED","object":{"metadata":{"name":"b"},"spec":{"podCIDR":"10.42.1.0/24"}}})"
      "\n");
  test::RunFor(loop_, absl::Milliseconds(5));
  EXPECT_THAT(Text(cluster_->facts().pod_cidrs), ElementsAre("10.42.0.0/24"));
  EXPECT_EQ(changes_, before + 1);
  // What a node says of its health is no change here.
  api_.For(kNodes).Bytes(
      R"({"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"77"},"spec":{"podCIDR":"10.42.0.0/24"}}})"
      "\n");
  test::RunFor(loop_, absl::Milliseconds(5));
  EXPECT_EQ(changes_, before + 1);
}

TEST_F(Cluster, OurOwnImageIsThatOfOurContainer) {
  Start("injector-1");
  api_.For("/pods/injector-1")
      .Answer(200, R"({"spec":{"containers":[{"name":"logs","image":"other:1"},)"
                   R"({"name":"portolan-injector","image":"registry.example/portolan:0.1.0"}]}})");
  EXPECT_EQ(cluster_->facts().image, "registry.example/portolan:0.1.0");
}

TEST_F(Cluster, OddObjectsAreNoneOfOurBusiness) {
  Start("injector-1");
  api_.For("/pods/injector-1").Answer(200, R"({"spec":{"containers":[7,{"image":8}]}})");
  api_.For("/version").Answer(200, R"({"major":1,"minor":"x"})");
  Answer(kNodes, Added(R"({"metadata":{"name":"a"},"spec":{"podCIDR":"rubbish"}})") +
                     Added(R"({"metadata":{"name":"b"},"spec":7})"));
  Answer(kDns, Slice("d", "null", "null") +
                   Slice("e", R"([{"port":70000,"protocol":"UDP"}])", R"([{"addresses":["x"]}])"));
  test::RunFor(loop_, absl::Milliseconds(5));
  EXPECT_THAT(cluster_->facts().pod_cidrs, IsEmpty());
  EXPECT_THAT(cluster_->facts().dns_endpoints, IsEmpty());
  EXPECT_THAT(cluster_->facts().image, IsEmpty());
  EXPECT_THAT(cluster_->missing(), ::testing::Contains("get /version: no version came back"));
}

}  // namespace
}  // namespace portolan::injector
