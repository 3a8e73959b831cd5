// The pages that are made of reports alone: flows, amplifiers, and the status and explain pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/xds/dashboard/fake_sidecars.h"
#include "tests/xds/dashboard/served_api.h"
#include "xds/dashboard/amplifiers_pages.h"
#include "xds/dashboard/explain_pages.h"
#include "xds/dashboard/flows_pages.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

void AddFlow(v1::SidecarReport& report, const char* service, const char* address,
             uint64_t connections) {
  v1::Flow& flow = *report.mutable_flows()->add_flows();
  flow.set_service(service);
  flow.set_address(address);
  flow.set_connections(connections);
  flow.set_bytes_up(100);
  flow.set_last_seen_unix_s(1'700'000'000);
}

Pod MakePod(const char* name, const char* ip, const char* hash) {
  Pod pod;
  pod.name = {"default", name};
  pod.ips = {*IpAddress::Parse(ip)};
  pod.labels = {{"pod-template-hash", hash}};
  return pod;
}

class ReportPagesTest : public ::testing::Test {
 protected:
  ReportPagesTest() {
    api.Change([](Directory& directory) {
      PutSmallCluster(directory);
      directory.Put(MakePod("front-5d4-aaaaa", "10.42.1.1", "5d4"));
      directory.Put(MakePod("front-5d4-bbbbb", "10.42.1.2", "5d4"));
      directory.Put(MakePod("backend-7c9-ccccc", "10.42.1.3", "7c9"));
    });
  }
  void ReportFlows() {
    v1::SidecarReport report;
    AddFlow(report, "default/backend", "", 10);
    AddFlow(report, "", "10.42.1.3", 3);
    AddFlow(report, "", "192.0.2.1", 1);
    sidecars.Report("default/front-5d4-aaaaa", report);
    sidecars.Report("default/front-5d4-bbbbb", report);
    sidecars.Report("default/unknown", v1::SidecarReport());
  }

  FakeSidecars sidecars;
  FakeReplicas replicas;
  ServedApi api{
      {.version = "0.1.0", .source = "files:/x", .sidecars = &sidecars, .replicas = &replicas}};
};

TEST_F(ReportPagesTest, FlowsAreMergedByWorkload) {
  ReportFlows();
  EXPECT_EQ(api.GetJson("/api/v1/flows"), json::parse(R"({
    "nodes": [
      {"id": "external/192.0.2.1", "kind": "external", "namespace": "", "name": "192.0.2.1",
       "sidecars": 0},
      {"id": "service/default/backend", "kind": "service", "namespace": "default",
       "name": "backend", "sidecars": 0},
      {"id": "workload/default/backend", "kind": "workload", "namespace": "default",
       "name": "backend", "sidecars": 0},
      {"id": "workload/default/front", "kind": "workload", "namespace": "default",
       "name": "front", "sidecars": 2}],
    "edges": [
      {"from": "workload/default/front", "to": "service/default/backend", "connections": 20,
       "failures": 0, "bytesUp": 200, "bytesDown": 0, "udpFlows": 0,
       "lastSeen": "2023-11-14T22:13:20.000Z"},
      {"from": "workload/default/front", "to": "workload/default/backend", "connections": 6,
       "failures": 0, "bytesUp": 200, "bytesDown": 0, "udpFlows": 0,
       "lastSeen": "2023-11-14T22:13:20.000Z"},
      {"from": "workload/default/front", "to": "external/192.0.2.1", "connections": 2,
       "failures": 0, "bytesUp": 200, "bytesDown": 0, "udpFlows": 0,
       "lastSeen": "2023-11-14T22:13:20.000Z"}],
    "more": 0, "replicas": [{"name": "control-a", "self": true}]})"));
}

// What a sidecar says is not to be relied on.
TEST_F(ReportPagesTest, ATimeBeyondAllTimesHarmsNothing) {
  v1::SidecarReport report;
  AddFlow(report, "default/backend", "", 10);
  report.mutable_flows()->mutable_flows(0)->set_last_seen_unix_s(
      std::numeric_limits<int64_t>::max());
  sidecars.Report("default/front-5d4-aaaaa", report);
  const json answer = api.GetJson("/api/v1/flows");
  ASSERT_EQ(answer["edges"].size(), 1u);
  EXPECT_GT(answer["edges"][0]["lastSeen"], "2023-11-14T22:13:20.000Z");
}

TEST_F(ReportPagesTest, FlowsAreFilteredAndBounded) {
  ReportFlows();
  const json one = api.GetJson("/api/v1/flows?limit=1");
  EXPECT_EQ(one["edges"].size(), 1u);
  EXPECT_EQ(one["edges"][0]["connections"], 20);
  EXPECT_EQ(one["nodes"].size(), 2u);
  EXPECT_EQ(one["more"], 2);
  EXPECT_EQ(api.GetJson("/api/v1/flows?search=192.0.2.1")["edges"].size(), 1u);
  EXPECT_EQ(api.GetJson("/api/v1/flows?namespace=default")["edges"].size(), 3u);
  EXPECT_EQ(api.GetJson("/api/v1/flows?namespace=web")["edges"].size(), 0u);
  EXPECT_THAT(api.Get("/api/v1/flows?limit=2001"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(ReportPagesTest, FlowsOfOtherReplicasAreAdded) {
  ReportFlows();
  replicas.answers = {{"control-b", json::parse(R"({"more": 4, "nodes": [
      {"kind": "workload", "namespace": "default", "name": "front", "sidecars": 1},
      {"kind": "service", "namespace": "default", "name": "backend"}, 3],
    "edges": [{"from": "workload/default/front", "to": "service/default/backend",
               "connections": 5, "bytesUp": "x", "lastSeen": "2024-01-01T00:00:00.000Z"},
              {"from": "workload/default/front", "to": "never/told/of", "connections": 9}]})")}};
  const json answer = api.GetJson("/api/v1/flows");
  EXPECT_EQ(answer["edges"].size(), 3u);
  EXPECT_EQ(answer["edges"][0]["connections"], 25);
  EXPECT_EQ(answer["edges"][0]["lastSeen"], "2024-01-01T00:00:00.000Z");
  EXPECT_EQ(answer["nodes"][3]["sidecars"], 3);
  EXPECT_EQ(answer["more"], 4);
}

void AddDenial(v1::SidecarReport& report, v1::DenialReport::What what, const char* name,
               const char* address, int64_t last) {
  v1::DenialReport& denial = *report.mutable_policy()->add_denials();
  denial.set_what(what);
  denial.set_name(name);
  denial.set_address(address);
  denial.set_port(*address == 0 ? 0 : 443);
  denial.set_policies("NetworkPolicy/default/web");
  denial.set_nearest("rule 0 of it");
  denial.set_count(3);
  denial.set_last_unix_s(last);
}

class DenialsPageTest : public ReportPagesTest {
 protected:
  DenialsPageTest() {
    v1::SidecarReport front, other;
    AddDenial(front, v1::DenialReport::CONNECTION, "", "192.0.2.1", 1'700'000'000);
    AddDenial(front, v1::DenialReport::NAME, "example.com", "", 1'700'000'020);
    front.mutable_policy()->mutable_denials(1)->set_audit(true);
    AddDenial(other, v1::DenialReport::FLOW, "default/db", "10.42.9.9", 1'700'000'010);
    other.mutable_policy()->mutable_denials(0)->set_policies("DNSEgressPolicy/web/apis");
    sidecars.Report("default/front-5d4-aaaaa", front);
    sidecars.Report("web/other", other);
    sidecars.Report("web/quiet", v1::SidecarReport());
  }
  // What is denied, in the order of the page.
  std::vector<std::string> Shown(const std::string& query) {
    return ShownIn(api.GetJson("/api/v1/denials?" + query));
  }
  static std::vector<std::string> ShownIn(const json& answer) {
    std::vector<std::string> shown;
    for (const json& row : answer["denials"]) shown.push_back(row["what"]);
    return shown;
  }
};

TEST_F(DenialsPageTest, TheNewestComeFirstOfAllSidecars) {
  const json answer = api.GetJson("/api/v1/denials");
  EXPECT_THAT(ShownIn(answer), ElementsAre("name", "flow", "connection"));
  EXPECT_EQ(answer["denials"][2], json::parse(R"({"node": "default/front-5d4-aaaaa",
    "workload": "front", "what": "connection", "mode": "enforced", "name": "",
    "address": "192.0.2.1", "port": 443, "policies": "NetworkPolicy/default/web",
    "nearest": "rule 0 of it", "count": 3, "last": "2023-11-14T22:13:20.000Z"})"));
  EXPECT_EQ(answer["denials"][0]["mode"], "audit");
  EXPECT_EQ(answer["denials"][1]["workload"], nullptr) << "a pod that is not known here";
  EXPECT_FALSE(answer.contains("continue"));
  EXPECT_EQ(answer["replicas"].size(), 1u);
}

TEST_F(DenialsPageTest, AreFilteredByPodPolicyAndName) {
  EXPECT_THAT(Shown("namespace=web"), ElementsAre("flow"));
  EXPECT_THAT(Shown("namespace=default&pod=front-5d4-aaaaa"), ElementsAre("name", "connection"));
  EXPECT_THAT(Shown("pod=front"), ElementsAre());
  EXPECT_THAT(Shown("policy=DNSEgressPolicy/web/apis"), ElementsAre("flow"));
  EXPECT_THAT(Shown("name=example"), ElementsAre("name"));
  EXPECT_THAT(Shown("name=192.0.2"), ElementsAre("connection"));
  EXPECT_THAT(Shown("search=db"), ElementsAre("flow"));
  EXPECT_THAT(Shown("search=web/other"), ElementsAre("flow"));
  EXPECT_THAT(Shown("search=nothing"), ElementsAre());
}

TEST_F(DenialsPageTest, ComeInPagesThatFollowEachOther) {
  const json first = api.GetJson("/api/v1/denials?limit=2");
  EXPECT_THAT(ShownIn(first), ElementsAre("name", "flow"));
  std::string next = first["continue"];
  for (size_t at; (at = next.find(' ')) != std::string::npos;) next.replace(at, 1, "%20");
  const json second = api.GetJson("/api/v1/denials?limit=2&continue=" + next);
  EXPECT_THAT(ShownIn(second), ElementsAre("connection"));
  EXPECT_FALSE(second.contains("continue"));
  for (const char* wrong : {"limit=0", "limit=1001", "continue=x", "continue=1"}) {
    EXPECT_THAT(api.Get(std::string("/api/v1/denials?") + wrong), StartsWith("HTTP/1.1 400 "));
  }
}

TEST_F(DenialsPageTest, ThoseOfOtherReplicasHaveTheirPlace) {
  replicas.answers = {{"control-b", json::parse(R"({"continue": "1", "denials": [
    {"node": "a/b", "what": "dns", "last": "2023-11-14T22:13:25.000Z"}, 7, {"what": "odd"}]})")}};
  const json answer = api.GetJson("/api/v1/denials?limit=4");
  EXPECT_THAT(ShownIn(answer), ElementsAre("name", "flow", "dns", "connection"));
  EXPECT_TRUE(answer.contains("continue"));
}

TEST_F(DenialsPageTest, WhatASidecarSaysOfTimeHarmsNothing) {
  for (const int64_t odd :
       {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min(), int64_t{0}}) {
    v1::SidecarReport report;
    AddDenial(report, static_cast<v1::DenialReport::What>(77), "odd", "", odd);
    sidecars.Report("web/other", report);
    const json answer = api.GetJson("/api/v1/denials?search=odd");
    ASSERT_FALSE(answer["denials"].empty());
    for (const json& denial : answer["denials"]) EXPECT_EQ(denial["what"], "unknown");
  }
}

v1::SidecarReport Wasteful(uint64_t queries, uint64_t wasted) {
  v1::SidecarReport report;
  report.mutable_dns()->set_queries(queries);
  auto& rcode = *report.mutable_dns()->add_responses();
  rcode.set_rcode("NXDOMAIN");
  rcode.set_count(wasted);
  report.mutable_amplification()->set_search_list_queries(wasted);
  report.mutable_amplification()->set_saved_by_trailing_dot(wasted);
  v1::AskedName& name = *report.mutable_names()->add_names();
  name.set_name("www.example.com");
  name.set_queries(queries);
  name.set_nxdomain(wasted);
  name.set_search_list(wasted);
  report.mutable_names()->add_names()->set_name("fine.example.com");
  return report;
}

TEST_F(ReportPagesTest, ThoseThatWasteMostComeFirst) {
  const auto before = Wasteful(10, 10);
  sidecars.Report("default/front-5d4-aaaaa", Wasteful(1000, 500));
  sidecars.Report("default/front-5d4-bbbbb", Wasteful(200, 110), &before);
  sidecars.Report("default/clean", v1::SidecarReport());
  const json answer = api.GetJson("/api/v1/amplifiers");
  ASSERT_EQ(answer["amplifiers"].size(), 2u);
  EXPECT_EQ(answer["amplifiers"][0], json::parse(R"({
    "node": "default/front-5d4-bbbbb", "workload": "front", "queries": 200,
    "searchListQueries": 110, "nxdomain": 110, "upstreamQueries": 0, "wastedPerSecond": 10.0,
    "wastedRatio": 0.55, "savedByAutopath": 0, "savedByTrailingDot": 110,
    "names": [{"name": "www.example.com", "queries": 200, "nxdomain": 110,
               "advice": "write www.example.com. with its final dot, lower ndots, or turn on autopath in the Corefile"}]})"));
  EXPECT_EQ(answer["amplifiers"][1]["wastedPerSecond"], nullptr);
  EXPECT_EQ(api.GetJson("/api/v1/amplifiers?sort=nxdomain")["amplifiers"][0]["node"],
            "default/front-5d4-aaaaa");
  EXPECT_EQ(api.GetJson("/api/v1/amplifiers?limit=1")["amplifiers"].size(), 1u);
  EXPECT_THAT(api.Get("/api/v1/amplifiers?sort=name"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(ReportPagesTest, AmplifiersOfOtherReplicasAreBetweenThem) {
  sidecars.Report("default/front-5d4-aaaaa", Wasteful(1000, 500));
  replicas.answers = {{"control-b", json::parse(R"({"amplifiers": [
      {"node": "x/fast", "wastedPerSecond": 1.5, "searchListQueries": 3},
      {"node": "x/few", "wastedPerSecond": null, "searchListQueries": 3}]})")}};
  const json answer = api.GetJson("/api/v1/amplifiers");
  EXPECT_EQ(answer["amplifiers"][0]["node"], "x/fast");
  EXPECT_EQ(answer["amplifiers"][1]["node"], "default/front-5d4-aaaaa");
  EXPECT_EQ(answer["amplifiers"][2]["node"], "x/few");
}

TEST_F(ReportPagesTest, StatusSaysWhatTheControlPlaneHas) {
  replicas.answers = {{"control-b", json::parse(R"({"sidecars": 3})")}};
  json status = api.GetJson("/api/v1/status");
  EXPECT_TRUE(status["now"].is_string());
  status.erase("now");
  EXPECT_EQ(status, json::parse(R"({
    "program": "portolan-control", "version": "0.1.0", "replica": "control-a",
    "source": "files:/x", "ready": true, "generation": 1, "clusterDomain": "cluster.local",
    "services": 4, "endpoints": 2, "namespaces": 0, "sidecars": 3, "historySince": null,
    "replicas": [{"name": "control-a", "self": true}, {"name": "control-b"}]})"));
}

TEST_F(ReportPagesTest, ExplainSetsTheSidecarBesideTheControlPlane) {
  sidecars.Report("default/front-5d4-aaaaa", v1::SidecarReport());
  sidecars.answer = R"({"name": "backend", "lookups": [
      {"name": "backend.default.svc.cluster.local.", "rcode": "NXDOMAIN", "answers": []}]})";
  const json answer =
      api.GetJson("/api/v1/explain?pod=default/front-5d4-aaaaa&name=backend&clusterDns=true");
  EXPECT_TRUE(sidecars.asked.explain().with_cluster_dns());
  EXPECT_EQ(answer["pod"], "default/front-5d4-aaaaa");
  EXPECT_EQ(answer["type"], "A");
  EXPECT_EQ(answer["sidecar"]["lookups"][0]["rcode"], "NXDOMAIN");
  EXPECT_EQ(answer["controlPlane"]["name"], "default/backend");
  EXPECT_EQ(answer["controlPlane"]["rcode"], "NOERROR");
  EXPECT_EQ(answer["controlPlane"]["records"], json::parse(R"([
      {"name": "backend.default.svc.cluster.local.", "type": "A", "ttl": 30,
       "data": "10.43.0.123"}])"));
  ASSERT_GE(answer["differences"].size(), 1u);
  EXPECT_EQ(answer["differences"][0]["between"], json({"controlPlane", "sidecar"}));
}

TEST_F(ReportPagesTest, ExplainSaysWhoLetsTheClientIn) {
  api.Change([](Directory& directory) {
    NetworkPolicy doors;
    doors.name = {"default", "doors"};
    doors.ingress = {{{}, {{Protocol::kTcp, 8080, 0, {}}}}};
    directory.Put(doors);
  });
  sidecars.Report("default/front-5d4-aaaaa", v1::SidecarReport());
  // A Service's endpoints, of which one is no pod that is known; an address at a port, and at any.
  sidecars.answer = R"({"connections": [
      {"address": "10.43.0.123", "port": 80, "protocol": "TCP", "endpoints": [
          {"address": "10.42.1.3:8080"}, {"address": "10.42.9.9:8080"}, {"address": 3}]},
      {"address": "10.42.1.3", "port": 53, "protocol": "UDP"},
      {"address": "10.42.1.3"}, {"address": "10.42.1.3", "port": 70000}, 7]})";
  const json answer = api.GetJson("/api/v1/explain?pod=default/front-5d4-aaaaa&name=backend");
  ASSERT_EQ(answer["ingress"].size(), 2u) << answer["ingress"];
  EXPECT_EQ(answer["ingress"][0], json::parse(R"({
      "at": "10.42.1.3:8080", "protocol": "TCP", "pod": "default/backend-7c9-ccccc",
      "verdict": "allowed", "audited": false,
      "says": "rule 0 of NetworkPolicy/default/doors/ingress allows it",
      "rule": {"policy": "NetworkPolicy/default/doors/ingress", "index": 0}})"));
  EXPECT_EQ(answer["ingress"][1]["verdict"], "denied");
  EXPECT_EQ(answer["ingress"][1]["protocol"], "UDP");
}

TEST_F(ReportPagesTest, ExplainOfASidecarThatCannotBeAskedSaysWhatTheControlPlaneHas) {
  replicas.answers = {{"control-b", NotFound("it is not connected")},
                      {"control-c", absl::DeadlineExceededError("no answer within 1 s")}};
  const json answer = api.GetJson("/api/v1/explain?pod=web/away&name=backend.default&type=aaaa");
  EXPECT_THAT(replicas.asked, ElementsAre(HasSubstr("GET /api/v1/sidecars/web/away/explain?name="
                                                    "backend.default&type=AAAA")));
  EXPECT_EQ(answer["sidecar"]["error"],
            "the sidecar of web/away is not connected; control-c: no answer within 1 s");
  EXPECT_EQ(answer["controlPlane"]["records"][0]["data"], "fd43::123");
  EXPECT_EQ(answer["controlPlane"]["lookups"][0]["rcode"], "NXDOMAIN");
  for (const char* query : {"name=x", "pod=x&name=x", "pod=a/b", "pod=a/b&name=x&type=AAAAA",
                            "pod=a/b&name=x&clusterDns=maybe"}) {
    EXPECT_THAT(api.Get(std::string("/api/v1/explain?") + query), StartsWith("HTTP/1.1 400 "))
        << query;
  }
}

}  // namespace
}  // namespace portolan::xds
