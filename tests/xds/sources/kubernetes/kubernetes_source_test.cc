#include "xds/sources/kubernetes/kubernetes_source.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/kubernetes/recordings.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan::xds {
namespace {

using test::Lines;
using test::Recording;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kRequired[] = {"namespaces", "services", "endpointslices",
                                     "pods",       "nodes",    "networkpolicies"};
constexpr const char* kOptional[] = {"servicecidrs", "serviceimports", "dnsegresspolicies",
                                     "clusternetworkpolicies", "adminnetworkpolicies"};

std::string Service(const std::string& name, int version, int port = 80) {
  return fmt::format(
      R"({{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{}","namespace":"shop","resourceVersion":"{}"}},)"
      R"("spec":{{"type":"ClusterIP","clusterIP":"None","clusterIPs":["None"],"ports":[{{"port":{}}}]}}}})",
      name, version, port);
}

std::string Event(const std::string& type, const std::string& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}

std::string EndOfList(int version) {
  return Event("BOOKMARK", fmt::format(R"({{"metadata":{{"resourceVersion":"{}","annotations":)"
                                       R"({{"k8s.io/initial-events-end":"true"}}}}}})",
                                       version));
}

class KubernetesSourceTest : public ::testing::Test {
 protected:
  KubernetesSourceTest() {
    options_.reflector.first_delay = options_.reflector.max_delay = absl::ZeroDuration();
    options_.reflector.settled = absl::ZeroDuration();
    options_.reflector.repair_delay = options_.reflector.max_repair_delay = absl::Hours(24);
    options_.gather = absl::ZeroDuration();
    Begin();
  }
  void Begin() {
    source_.emplace(loop_, api_, options_, directory_, [this](absl::Time) {
      ++changes_;
      last_ = directory_.Commit().changes;
    });
    EXPECT_TRUE(source_->Start().ok());
  }

  // All lists, empty but for `services`; the optional ones are not there.
  void List(const std::string& services = "") {
    for (const char* name : kOptional) {
      if (!listed_.contains(name)) api_.For(name).Answer(404, "404 page not found");
    }
    for (const char* name : kRequired) {
      if (name == std::string_view("services")) continue;
      api_.For(std::string("/") + name).Head().Bytes(EndOfList(10));
    }
    api_.For("services").Head().Bytes(services + EndOfList(10));
    Turn();
  }
  // Until `name` is asked for again.
  void Wait(const std::string& name) {
    test::Until(loop_, [&] {
      for (size_t i = 0; i < api_.count(); ++i) {
        if (api_[i].open() && api_[i].target().find("/" + name + "?") != std::string::npos) {
          return true;
        }
      }
      return false;
    });
  }
  void Turn() {
    const int before = changes_;
    test::Until(loop_, [&] { return changes_ > before; });
  }
  std::vector<std::string> Services() const {
    std::vector<std::string> names;
    directory_.snapshot()->ForEachService(
        [&](const portolan::Service& service) { names.push_back(service.name.name); });
    std::sort(names.begin(), names.end());
    return names;
  }
  int Port(const std::string& name) const {
    const auto* service = directory_.snapshot()->FindService("shop/" + name);
    return service == nullptr ? -1 : service->ports[0].port;
  }

  EventLoop loop_;
  test::ScriptedApi api_;
  std::set<std::string, std::less<>> listed_;  // optional ones that a test answers for
  KubernetesSource::Options options_;
  Directory directory_;
  int changes_ = 0;
  DirectoryChanges last_;
  std::optional<KubernetesSource> source_;
};

TEST_F(KubernetesSourceTest, NothingLeavesUntilAllIsThere) {
  EXPECT_THAT(source_->missing(), SizeIs(11));
  api_.For("services").Head().Bytes(Event("ADDED", Service("a", 1)) + EndOfList(10));
  api_.For("serviceimports").Answer(404, "404 page not found");
  for (const char* name : {"dnsegresspolicies", "clusternetworkpolicies", "adminnetworkpolicies"}) {
    api_.For(name).Answer(404, "404 page not found");
  }
  api_.For("servicecidrs").Head().Bytes(EndOfList(10));
  for (const char* name : {"namespaces", "pods", "nodes", "networkpolicies"}) {
    api_.For(name).Head().Bytes(EndOfList(10));
  }
  test::RunFor(loop_, absl::Milliseconds(20));
  EXPECT_EQ(changes_, 0);
  EXPECT_THAT(source_->missing(), ElementsAre("endpointslices.discovery.k8s.io: being listed"));
  api_.For("endpointslices").Answer(403, "no");
  EXPECT_THAT(
      source_->missing(),
      ElementsAre(StartsWith("endpointslices.discovery.k8s.io: 403: the role lacks watch")));
  test::Until(loop_,
              [&] { return api_.last().target().find("endpointslices") != std::string::npos; });
  api_.For("endpointslices").Head().Bytes(EndOfList(10));
  Turn();
  EXPECT_EQ(changes_, 1);
  EXPECT_THAT(source_->missing(), IsEmpty());
  EXPECT_THAT(Services(), ElementsAre("a"));
}

// The API server and the control plane came up together: roles are not loaded yet.
TEST_F(KubernetesSourceTest, AServerThatDeniesEverythingIsNotOneWithoutPolicies) {
  const auto deny_optional = [this] {
    for (const char* name : kOptional) {
      api_.For(name).Answer(403, "no");
      Wait(name);
    }
  };
  for (int i = 0; i < 10; ++i) {
    for (const char* name : kRequired) {
      api_.For(std::string("/") + name).Answer(403, "no");
      Wait(name);
    }
    deny_optional();
  }
  EXPECT_THAT(source_->missing(), SizeIs(11));
  for (const char* name : kRequired) {
    api_.For(std::string("/") + name).Head().Bytes(EndOfList(10));
  }
  EXPECT_THAT(source_->missing(), SizeIs(5));
  EXPECT_EQ(changes_, 0);

  // Where the role lacks them for good, they are not waited for.
  deny_optional();
  deny_optional();
  for (const char* name : kOptional) api_.For(name).Answer(403, "no");
  EXPECT_THAT(source_->missing(), IsEmpty());
  Turn();
  EXPECT_EQ(changes_, 1);
}

TEST_F(KubernetesSourceTest, AnEmptyClusterIsCompleteToo) {
  List();
  EXPECT_EQ(changes_, 1);
  EXPECT_THAT(source_->missing(), IsEmpty());
}

TEST_F(KubernetesSourceTest, AChangeLeavesWithItsVersionAndTime) {
  List();
  const absl::Time before = absl::Now();
  api_.For("services").Bytes(Event("ADDED", Service("a", 11, 80)));
  Turn();
  api_.For("services").Bytes(Event("MODIFIED", Service("a", 12, 81)));
  Turn();
  EXPECT_EQ(changes_, 3);
  EXPECT_EQ(Port("a"), 81);
  const Origin& origin = directory_.snapshot()->FindService("shop/a")->origin;
  EXPECT_EQ(origin.resource_version, "12");
  EXPECT_GE(origin.arrived, before);
  EXPECT_LE(origin.arrived, absl::Now());
  api_.For("services").Bytes(Event("DELETED", Service("a", 13, 81)));
  Turn();
  EXPECT_THAT(Services(), IsEmpty());
}

TEST_F(KubernetesSourceTest, WhatArrivesTogetherLeavesTogether) {
  List();
  std::string burst;
  for (int i = 0; i < 50; ++i) burst += Event("ADDED", Service(fmt::format("s{}", i), 11 + i));
  api_.For("services").Bytes(burst);
  Turn();
  EXPECT_EQ(changes_, 2);
  EXPECT_THAT(last_.services, SizeIs(50));
}

TEST_F(KubernetesSourceTest, AListTakesAwayWhatItLacksAndOnlyAtItsEnd) {
  List(Event("ADDED", Service("a", 1)) + Event("ADDED", Service("b", 2)) +
       Event("ADDED", Service("c", 3)));
  api_.For("services").Bytes(Recording("watches/23-too-old.ndjson"));
  auto& again = api_.For("services");
  again.Head().Bytes(Event("ADDED", Service("c", 3)) + Event("ADDED", Service("b", 20, 8080)));
  Turn();
  EXPECT_THAT(Services(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(Port("b"), 8080);
  // c is as it was, and no news to anybody.
  EXPECT_THAT(last_.services, ElementsAre("shop/b"));
  again.Bytes(EndOfList(30));
  Turn();
  EXPECT_THAT(Services(), ElementsAre("b", "c"));
}

TEST_F(KubernetesSourceTest, AListThatFailsHalfwayTakesNothingAway) {
  List(Event("ADDED", Service("a", 1)) + Event("ADDED", Service("b", 2)));
  api_.For("services").Bytes(Recording("watches/23-too-old.ndjson"));
  api_.For("services")
      .Head()
      .Bytes(Event("ADDED", Service("a", 1)))
      .End(absl::UnavailableError("cut"));
  const size_t before = api_.count();
  test::Until(loop_, [&] { return api_.count() > before; });
  EXPECT_THAT(Services(), ElementsAre("a", "b"));
  api_.For("services").Head().Bytes(Event("ADDED", Service("b", 2)) + EndOfList(30));
  Turn();
  EXPECT_THAT(Services(), ElementsAre("b"));
}

TEST_F(KubernetesSourceTest, AnObjectThatIsInvalidKeepsItsLastGoodState) {
  List(Event("ADDED", Service("a", 1)));
  api_.For("services")
      .Bytes(Event("MODIFIED", Service("a", 11, 70000)) + Event("ADDED", Service("b", 12)));
  Turn();
  EXPECT_EQ(Port("a"), 80);
  EXPECT_EQ(Port("b"), 80);
  EXPECT_EQ(source_->Describe()["resources"][1]["invalidObjects"], 1);
  api_.For("services").Bytes(Event("MODIFIED", Service("a", 13, 81)));
  Turn();
  EXPECT_EQ(Port("a"), 81);
  EXPECT_EQ(source_->Describe()["resources"][1]["invalidObjects"], 0);
}

TEST_F(KubernetesSourceTest, AListKeepsWhatItHoldsInAFormThatCannotBeRead) {
  List(Event("ADDED", Service("a", 1)) + Event("ADDED", Service("b", 2)) +
       Event("ADDED", Service("c", 3)));
  api_.For("services").Bytes(Recording("watches/23-too-old.ndjson"));
  std::string broken = Event("ADDED", Service("a", 20));
  broken.replace(broken.find("\"spec\":"), 7, "\"spec\"!");
  api_.For("services")
      .Head()
      .Bytes(broken + Event("ADDED", Service("b", 21, 70000)) + EndOfList(30));
  Turn();
  EXPECT_THAT(Services(), ElementsAre("a", "b"));
  // Whose bytes these were cannot be told: whoever is missing may be it.
  api_.For("services").Bytes(Recording("watches/23-too-old.ndjson"));
  api_.For("services").Head().Bytes("{\"type\":\n" + EndOfList(40));
  Turn();
  EXPECT_THAT(Services(), ElementsAre("a", "b"));
}

TEST_F(KubernetesSourceTest, AnObjectOfAnotherKindIsNone) {
  List(Event("ADDED", Service("a", 1)));
  std::string pod = Service("a", 11, 81);
  pod.replace(pod.find("Service"), 7, "Secret");
  api_.For("services").Bytes(Event("MODIFIED", pod) + Event("ADDED", Service("b", 12)));
  Turn();
  EXPECT_EQ(Port("a"), 80);
}

TEST_F(KubernetesSourceTest, ASliceThatLosesALabelIsLessThanItWas) {
  List();
  const auto slice = [](const std::string& labels, int version) {
    return fmt::format(
        R"({{"kind":"EndpointSlice","metadata":{{"name":"x","namespace":"shop","resourceVersion":"{}","labels":{{{}}}}},)"
        R"("addressType":"IPv4","endpoints":[{{"addresses":["10.0.0.1"]}}],"ports":null}})",
        version, labels);
  };
  const std::string service = R"("kubernetes.io/service-name":"web")";
  const std::string import = R"("multicluster.kubernetes.io/service-name":"web")";
  api_.For("endpointslices").Bytes(Event("ADDED", slice(service + "," + import, 11)));
  Turn();
  EXPECT_NE(directory_.snapshot()->FindSlices("shop/web"), nullptr);
  EXPECT_NE(directory_.snapshot()->FindImportedSlices("shop/web"), nullptr);
  api_.For("endpointslices").Bytes(Event("MODIFIED", slice(import, 12)));
  Turn();
  EXPECT_EQ(directory_.snapshot()->FindSlices("shop/web"), nullptr);
  EXPECT_NE(directory_.snapshot()->FindImportedSlices("shop/web"), nullptr);
  api_.For("endpointslices").Bytes(Event("DELETED", slice(import, 13)));
  Turn();
  EXPECT_EQ(directory_.snapshot()->FindImportedSlices("shop/web"), nullptr);
}

// A minute in which Services, pods and nodes were made, changed in every way, and removed.
TEST_F(KubernetesSourceTest, TheRecordedMinuteLeavesNothingOfItsNamespaceBehind) {
  List();
  size_t most_services = 0, most_slices = 0, most_pods = 0;
  const std::pair<const char*, const char*> kWatches[] = {
      {"namespaces", "watches/04-namespaces.ndjson"},
      {"services", "watches/01-services.ndjson"},
      {"endpointslices", "watches/02-endpointslices.ndjson"},
      {"pods", "watches/08-pods-of-one-node.ndjson"},
      {"nodes", "watches/05-nodes.ndjson"},
      {"networkpolicies", "watches/06-networkpolicies.ndjson"}};
  for (const auto& [name, recording] : kWatches) {
    for (const std::string& line : Lines(Recording(recording))) {
      for (const char c : line + "\n") api_.For(name).Bytes({&c, 1});
      directory_.Commit();
      most_services = std::max(most_services, directory_.snapshot()->service_count());
      most_slices = std::max(most_slices, directory_.snapshot()->slice_set_count());
      size_t pods = 0;
      directory_.snapshot()->ForEachPod([&](const Pod&) { ++pods; });
      most_pods = std::max(most_pods, pods);
    }
  }
  EXPECT_EQ(most_services, 11u);
  EXPECT_GE(most_slices, 10u);
  EXPECT_GE(most_pods, 3u);
  EXPECT_THAT(Services(), IsEmpty());
  EXPECT_EQ(directory_.snapshot()->slice_set_count(), 0u);
  EXPECT_EQ(directory_.snapshot()->FindNamespace("shop"), nullptr);
  directory_.snapshot()->ForEachPod([](const Pod& pod) { ADD_FAILURE() << pod.name.ToString(); });
  const auto described = source_->Describe();
  for (const auto& resource : described["resources"]) {
    EXPECT_EQ(resource["invalidObjects"], 0) << resource;
    EXPECT_EQ(resource["failures"], nlohmann::json::object()) << resource;
  }
}

TEST_F(KubernetesSourceTest, WhatItDoesCanBeSeen) {
  List(Event("ADDED", Service("a", 1)));
  MetricFamilies families;
  source_->AddMetrics(families);
  std::vector<std::string> names;
  for (const auto& family : families) names.push_back(family.name);
  EXPECT_THAT(names,
              ::testing::IsSupersetOf(
                  {"portolan_source_events_total", "portolan_source_failures_total",
                   "portolan_source_lists_total", "portolan_source_relists_total",
                   "portolan_source_objects", "portolan_source_connected", "portolan_source_absent",
                   "portolan_source_complete", "portolan_source_last_event_timestamp_seconds"}));
  const auto described = source_->Describe();
  EXPECT_EQ(described["complete"], true);
  EXPECT_EQ(described["resources"][1]["resource"], "services");
  EXPECT_EQ(described["resources"][1]["objects"], 1);
  EXPECT_EQ(described["resources"][1]["events"]["ADDED"], 1);
  EXPECT_EQ(described["resources"][7]["absent"], true);
}

std::string ClusterPolicy(const std::string& action, int version) {
  return fmt::format(
      R"({{"kind":"ClusterNetworkPolicy","apiVersion":"policy.networking.k8s.io/v1alpha2",)"
      R"("metadata":{{"name":"apis","resourceVersion":"{}"}},"spec":{{"tier":"Admin","priority":1,)"
      R"("subject":{{"namespaces":{{"matchLabels":{{"team":"a"}}}}}},"egress":[{{"action":"{}",)"
      R"("to":[{{"domainNames":["a.example"]}}],)"
      R"("protocols":[{{"tcp":{{"destinationPort":{{"number":443}}}}}}]}}]}}}})",
      version, action);
}

// Of its parts nothing is left out on the way, and one that turns bad stays as it was.
TEST_F(KubernetesSourceTest, ClusterNetworkPoliciesAreFollowedWhereTheApiExists) {
  listed_ = {"clusternetworkpolicies"};
  auto& policies = api_.For("clusternetworkpolicies");
  policies.Head().Bytes(Event("ADDED", ClusterPolicy("Accept", 5)) + EndOfList(10));
  List();
  const auto policy = [&] {
    return directory_.snapshot()->FindDnsEgressPolicy("ClusterNetworkPolicy/apis");
  };
  ASSERT_NE(policy(), nullptr);
  EXPECT_EQ(policy()->namespaces, (ObjectSelector{{{"team", "a"}}, {}}));
  EXPECT_THAT(policy()->rules, ElementsAre(DnsEgressRule{
                                   {{"a.example", false}}, {{Protocol::kTcp, 443, 0, ""}}, 0}));
  policies.Bytes(Event("MODIFIED", ClusterPolicy("Deny", 11)));
  test::RunFor(loop_, absl::Milliseconds(20));
  EXPECT_NE(policy(), nullptr);
  policies.Bytes(Event("DELETED", ClusterPolicy("Deny", 12)));
  Turn();
  EXPECT_EQ(policy(), nullptr);
}

// Its definition was deleted, and the objects with it, while the connection was lost.
TEST_F(KubernetesSourceTest, PoliciesWhoseApiIsGoneForGoodAreForgotten) {
  options_.reflector.absent_delay = options_.reflector.gone_after = absl::ZeroDuration();
  Begin();
  listed_ = {"clusternetworkpolicies"};
  const auto policies = [this]() -> auto& { return api_.For("clusternetworkpolicies"); };
  policies().Head().Bytes(Event("ADDED", ClusterPolicy("Accept", 5)) + EndOfList(10));
  List();
  const auto policy = [&] {
    return directory_.snapshot()->FindDnsEgressPolicy("ClusterNetworkPolicy/apis");
  };
  policies().End();
  Wait("clusternetworkpolicies");
  policies().Answer(404, "404 page not found");
  Wait("clusternetworkpolicies");
  EXPECT_NE(policy(), nullptr);
  policies().Answer(404, "404 page not found");
  EXPECT_TRUE(test::Until(loop_, [&] { return policy() == nullptr; }));
}

}  // namespace
}  // namespace portolan::xds
