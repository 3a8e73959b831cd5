
// The tables of the commands, and what guards the terminal from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/document/yaml.h"
#include "ctl/denials.h"
#include "ctl/endpoints.h"
#include "ctl/history.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "ctl/proxy_status.h"
#include "ctl/records.h"
#include "ctl/terminal.h"
#include "ctl/top.h"
#include "ctl/value_json.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Printable, KeepsTextAndDropsWhatATerminalObeys) {
  EXPECT_EQ(Printable("backend é 日本"), "backend é 日本");
  EXPECT_EQ(Printable("a\x1b[31mb\r\n\t\x7f"), "a?[31mb????");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "?31m");  // C1 CSI
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "evil"),
            "?evil");                                      // right-to-left override
  EXPECT_EQ(Printable("\xe2\x80\x8b\xe2\x81\xa6"), "??");  // zero width space, isolate
  EXPECT_EQ(Printable("\x9b\xff\xc0\x80\xed\xa0\x80\xe2\x80"), "?????????");
  EXPECT_EQ(Printable(std::string_view("\0", 1)), "?");
}

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000 + 3725);

TEST(NamesTable, IsAlignedAndSaysWhatIsWrong) {
  const json answer = json::parse(R"({"names": [
    {"namespace": "default", "name": "backend", "type": "ClusterIP", "headless": false,
     "clusterIPs": ["10.43.0.123", "fd43::123"], "dnsName": "backend.default.svc.cluster.local",
     "ports": [{"name": "http", "protocol": "TCP", "port": 8080},
               {"name": "dns", "protocol": "UDP", "port": 53}],
     "lastChange": "2023-11-14T22:13:20.000Z", "labels": {"app": "b", "tier": "1"},
     "askedBy": {"pods": 2, "queries": 40},
     "endpoints": {"ready": 3, "serving": 4, "terminating": 1}},
    {"namespace": "default", "name": "twin", "type": "ClusterIP", "headless": true,
     "clusterIPs": [], "dnsName": "twin.default.svc.cluster.local", "ports": [],
     "warnings": [{"code": "no-endpoints", "message": "no\u001b[2J endpoint"}],
     "endpoints": {"ready": 0, "serving": 0, "terminating": 0}}],
    "replicas": [{"name": "a", "self": true}, {"name": "b", "error": "no answer within 1 s"}]})");
  EXPECT_EQ(NamesTable(answer, {}, kNow),
            "NAMESPACE   NAME      TYPE        CLUSTER-IP              PORTS             READY   "
            "TERMINATING   CHANGED   WARNINGS\n"
            "default     backend   ClusterIP   10.43.0.123,fd43::123   8080/TCP,53/UDP   3       "
            "1             1h2m      -\n"
            "default     twin      ClusterIP   None                    -                 0       "
            "0             -         no-endpoints\n"
            "\n"
            "Without what b knows: no answer within 1 s\n");
  EXPECT_THAT(NamesTable(answer, {.wide = true}, kNow),
              HasSubstr("40      app=b,tier=1   backend.default.svc.cluster.local\n"));
  EXPECT_EQ(WarningsTable(answer, {}),
            "NAMESPACE   NAME   WARNING        WHAT\n"
            "default     twin   no-endpoints   no?[2J endpoint\n");
}

TEST(NamesTable, AnEmptyAnswerIsSaid) {
  EXPECT_EQ(NamesTable(json::object(), {}, kNow), "No names found.\n");
  EXPECT_EQ(ProxyStatusTable(json::object(), {}, absl::UnixEpoch()), "No sidecar is connected.\n");
}

TEST(ProxyStatusTable, TheWorstIsFirstAndWhatWasRefusedIsSaid) {
  const json answer = json::parse(R"({"sidecars": [
    {"node": "default/quick", "version": "0.1.0", "peer": "ipv4:10.42.0.7:40112", "health": "ok",
     "connected": "2023-11-14T22:13:20.000Z", "lag": {"p50Ms": 1, "p99Ms": 2.5},
     "rates": {"queriesPerSecond": 12.5, "cacheHitRatio": 0.5}, "replica": "control-a",
     "types": [{"type": "Service", "status": "SYNCED"}, {"type": "Endpoints", "status": "STALE"}]},
    {"node": "default/slow", "health": "ok", "connected": null, "lag": {"p99Ms": 900}, "types": []},
    {"node": "default/refuser", "health": "nacked", "connected": null, "rates": null,
     "types": [{"type": "ProxyConfig", "status": "NACKED", "lastNack": "line 3\u001b[2J"}]}]})");
  EXPECT_EQ(
      ProxyStatusTable(answer, {}, kNow),
      "NAME              HEALTH   SERVICE   ENDPOINTS   PROXYCONFIG   LAG-P99   QPS    CONNECTED   "
      "VERSION\n"
      "default/refuser   nacked   -         -           NACKED        -         -      -           "
      "-\n"
      "default/slow      ok       -         -           -             900ms     -      -           "
      "-\n"
      "default/quick     ok       SYNCED    STALE       -             2.5ms     12.5   1h2m        "
      "0.1.0\n"
      "\n"
      "default/refuser refuses ProxyConfig: line 3?[2J\n");
  const std::string wide = ProxyStatusTable(answer, {.wide = true}, kNow);
  EXPECT_THAT(wide, HasSubstr("1ms       -       -            50%     -        ipv4:10.42.0.7:40112"
                              "   control-a\n"));
}

TEST(ProxyStatusTable, SaysInWordsWhatIsWrong) {
  const json answer = json::parse(R"({"sidecars": [
    {"node": "a/b", "health": "upstream-down", "healthWhy": "10.0.0.1:53 fails"}]})");
  EXPECT_THAT(ProxyStatusTable(answer, {}, kNow),
              HasSubstr("\na/b is upstream-down: 10.0.0.1:53 fails\n"));
}

TEST(Views, SurviveJsonOfAnotherShape) {
  for (
      const char* text :
      {"[]", "1", "null", R"({"names": 1, "sidecars": {}})",
       R"({"lookups": [1, {"answers": [1, {}], "service": {"endpoints": 1}}, {"service": 1}]})",
       R"({"names": [1, [], {}, null], "warnings": [1], "records": [1, {}], "entries": [1, {}]})",
       R"({"endpointSlices": [1, {"endpoints": [1, {}]}], "askedBy": {"byPod": [1]}})",
       R"({"amplifiers": [1, {"names": 5}], "upstreams": [1, {}], "entries": [{"added": [1]}]})",
       R"({"sidecars": [1, {"types": [1, {"type": 5}]}, {"types": "x"}]})",
       R"({"names": [{"name": {}, "ports": [1, {"port": "x"}], "clusterIPs": [1], "endpoints": 3}]})"}) {
    const json answer = json::parse(text);
    EXPECT_FALSE(NamesTable(answer, {}, kNow).empty());
    EXPECT_FALSE(ProxyStatusTable(answer, {}, absl::UnixEpoch()).empty());
    EXPECT_FALSE(WarningsTable(answer, {.wide = true}).empty());
    EXPECT_FALSE(EndpointsText(answer, {.wide = true}, kNow).empty());
    EXPECT_FALSE(RecordsText(answer, {}).empty());
    EXPECT_FALSE(HistoryTable(answer, {.wide = true}, absl::UTCTimeZone()).empty());
    TopText(answer, {.wide = true});
    EXPECT_FALSE(DenialsTable(answer, {.wide = true}, kNow).empty());
    Yaml(answer);
  }
}

TEST(Denials, SayWhoWhatByWhomAndWhichRuleIsNearest) {
  const json answer = json::parse(R"({"denials": [
    {"node": "default/f-1", "workload": "f", "what": "connection", "mode": "enforced",
     "name": "default/db", "address": "fd00::1", "port": 5432, "policies": "NetworkPolicy/default/f",
     "nearest": "rule 0 of it", "count": 7, "last": "2023-11-14T23:15:20.000Z"},
    {"node": "default/f-1", "workload": null, "what": "name", "mode": "audit",
     "name": "example.com", "address": "", "port": 0, "policies": "DNSEgressPolicy/default/f",
     "nearest": "", "count": 1, "last": "2023-11-14T22:13:20.000Z"}]})");
  EXPECT_EQ(DenialsTable(answer, {}, kNow),
            "POD           MODE       WHAT   NAME          ADDRESS          COUNT   LAST   "
            "ISOLATED BY                 NEAREST RULE\n"
            "default/f-1   enforced   TCP    default/db    [fd00::1]:5432   7       5s     "
            "NetworkPolicy/default/f     rule 0 of it\n"
            "default/f-1   audit      name   example.com   -                1       1h2m   "
            "DNSEgressPolicy/default/f   -\n");
  EXPECT_EQ(DenialsTable(json::parse(R"({"denials": []})"), {}, kNow),
            "No sidecar has reported a denial.\n");
}

TEST(Endpoints, SaysWhereConnectionsGoAndWhoAsked) {
  const json answer = json::parse(R"({"namespace": "default", "name": "backend",
    "type": "ClusterIP", "clusterIPs": ["10.43.0.123"], "lastChange": "2023-11-14T22:13:20.000Z",
    "warnings": [{"code": "stale-slice", "message": "backend-1 is old"}],
    "endpointSlices": [{"name": "backend-1", "ports": [{"name": "http", "port": 8080,
      "protocol": "TCP"}], "endpoints": [
      {"addresses": ["10.42.0.11"], "pod": "default/b-1", "nodeName": "n1", "zone": "z",
       "conditions": {"ready": true, "serving": true, "terminating": false}},
      {"addresses": ["10.42.0.12"],
       "conditions": {"ready": false, "serving": true, "terminating": true}},
      {"addresses": ["10.42.0.13"],
       "conditions": {"ready": false, "serving": false, "terminating": false}}]}],
    "askedBy": {"byPod": [{"node": "default/f-1", "queries": 7,
                           "lastAsked": "2023-11-14T23:15:20.000Z"}]}})");
  EXPECT_EQ(EndpointsText(answer, {}, kNow),
            "default/backend: ClusterIP, 10.43.0.123, changed 1h2m ago\n"
            "stale-slice: backend-1 is old\n"
            "\n"
            "ADDRESS      PORTS           CONDITION              POD           NODE   ZONE\n"
            "10.42.0.11   http:8080/TCP   ready                  default/b-1   n1     z\n"
            "10.42.0.12   http:8080/TCP   terminating, serving   -             -      -\n"
            "10.42.0.13   http:8080/TCP   not ready              -             -      -\n"
            "\n"
            "ASKED BY      QUERIES   LAST\n"
            "default/f-1   7         5s\n");
}

TEST(Records, ArePrintedAsDigPrintsThem) {
  const json answer = json::parse(R"({"records": [
    {"name": "web.default.svc.cluster.local.", "type": "A", "ttl": 30, "data": "10.42.0.11"},
    {"name": "web-0.web.default.svc.cluster.local.", "type": "A", "ttl": 30, "data": "10.42.0.11"},
    {"name": "_http._tcp.web.default.svc.cluster.local.", "type": "SRV", "ttl": 30,
     "data": "0 100 8080 web-0.web.default.svc.cluster.local."}], "recordsTruncated": true})");
  EXPECT_EQ(RecordsText(answer, {.type = "a", .hostname = {}}),
            "web.default.svc.cluster.local.        30    IN  A      10.42.0.11\n"
            "web-0.web.default.svc.cluster.local.  30    IN  A      10.42.0.11\n"
            ";; there are more: the answer is cut\n");
  EXPECT_EQ(RecordsText(json::object(), {}), ";; no such record\n");
  const json none = json::parse(R"({"noRecords": [{"name": "a.", "type": "AAAA",
                                                   "answer": "NODATA", "why": "it has none"}]})");
  EXPECT_EQ(RecordsText(none, {}), ";; a. AAAA: NODATA: it has none\n");
  EXPECT_THAT(RecordsText(answer, {.type = {}, .hostname = "web-0"}),
              ::testing::StartsWith("web-0.web.default.svc.cluster.local.  30"));
}

TEST(History, IsATableOfWhatChanged) {
  const json answer = json::parse(R"({"entries": [
    {"time": "2023-11-14T22:13:20.500Z", "namespace": "default", "name": "backend",
     "cause": "pod-ready", "summary": "b-2 is ready", "endpoints": {"ready": 2},
     "object": {"kind": "EndpointSlice", "namespace": "default", "name": "backend-1",
                "resourceVersion": "17"},
     "added": ["10.42.0.12"], "removed": [], "changed": [{"address": "10.42.0.13", "from": "ready",
     "to": "terminating"}], "more": 3}],
    "gaps": [{"from": "2023-11-14T21:00:00.000Z", "to": "2023-11-14T21:05:00.000Z", "changes": 3,
              "reason": "overload"}],
    "continue": "x", "since": "2023-11-14T20:00:00.000Z"})");
  EXPECT_EQ(HistoryTable(answer, {}, absl::UTCTimeZone()),
            "TIME                      NAME              CAUSE       READY   WHAT\n"
            "2023-11-14 22:13:20.500   default/backend   pod-ready   2       b-2 is ready\n"
            "From 2023-11-14 21:00:00.000 to 2023-11-14 21:05:00.000 3 changes were not kept: "
            "overload\n"
            "There is more: --limit, or --until\n"
            "The kept history begins at 2023-11-14 20:00:00.000.\n");
  EXPECT_THAT(HistoryTable(answer, {.wide = true}, absl::UTCTimeZone()),
              HasSubstr("+10.42.0.12 10.42.0.13:ready>terminating and 3 more   EndpointSlice "
                        "default/backend-1 @17\n"));
}

TEST(Top, SumsUpstreamsOverSidecarsAndPutsTheFailingFirst) {
  const json sidecars = json::parse(R"([
    {"report": {"dns": {"upstreams": [
      {"address": "10.0.0.1:53", "answers": 90, "failures": 10, "failedProbes": 1},
      {"address": "10.0.0.2:53", "answers": 50, "failures": 50, "failedProbes": 0}]}}},
    {"report": {"dns": {"upstreams": [
      {"address": "10.0.0.1:53", "answers": 100, "failures": 0, "failedProbes": 0}]}}}, {}, 1])");
  const json upstreams = UpstreamsOf(sidecars, 10);
  EXPECT_EQ(TopText({{"upstreams", upstreams}}, {}),
            "Upstreams\n"
            "UPSTREAM      SIDECARS   ANSWERS   FAILURES   FAILED   FAILED-CHECKS\n"
            "10.0.0.2:53   1          50        50         50.0%    0\n"
            "10.0.0.1:53   2          190       10         5.0%     1\n");
  EXPECT_EQ(UpstreamsOf(sidecars, 1).size(), 1u);
}

TEST(Top, ShowsWhoWastesAndWhatIsAskedForMost) {
  const json names = json::parse(R"([{"name": "quiet"}, {"name": "a", "askedBy": {"queries": 1}},
                                     {"name": "b", "askedBy": {"queries": 20000, "pods": 3}}])");
  const json amplifiers = json::parse(R"([{"node": "default/f-1", "queries": 100, "nxdomain": 80,
    "searchListQueries": 75, "wastedPerSecond": 3.25, "wastedRatio": 0.75,
    "names": [{"name": "example.com", "advice": "a trailing dot"}]}])");
  const std::string text =
      TopText({{"amplifiers", amplifiers}, {"names", BusiestOf(names, 1)}}, {});
  EXPECT_THAT(text,
              HasSubstr("default/f-1   100       80         75            3.2        75.0%    "
                        "example.com   a trailing dot\n"));
  EXPECT_THAT(text, HasSubstr("-           b      20.0k     3      -\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("a      1")));
}

TEST(Table, IsCutToTheTerminalFromItsWidestColumn) {
  Table table({"NAME", "WHAT"});
  table.Add({"short", "a long sentence that does not fit"});
  EXPECT_EQ(table.ToString({.width = 22}),
            "NAME    WHAT\n"
            "short   a long senten\u2026\n");
  // No column gets narrower than what can still be told apart.
  EXPECT_EQ(table.ToString({.width = 3}), "NAME    WHAT\nshort   a long \u2026\n");
}

TEST(Table, ColoursAreForATerminalThatMayHaveThem) {
  Table table({"NAME"});
  table.Add({{"x\x1b", Tone::kBad}});
  EXPECT_EQ(table.ToString({.colours = true}), "NAME\n\x1b[31mx?\x1b[0m\n");
  EXPECT_EQ(table.ToString(), "NAME\nx?\n");
}

TEST(Yaml, IsPureAsciiThatReadsAsTheSame) {
  const json answer = {{"name", "\x1b\xc2\x9b\xe2\x80\xae"},
                       {"corefile", ".:53 {\n  log\n}\n"},
                       {"foreign", "\xc3\xa9\n"},
                       {"word", "true"},
                       {"list", {1, 2.5, true, nullptr}}};
  const std::string text = Yaml(answer);
  for (char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << text;
  EXPECT_THAT(text, HasSubstr("corefile: |\n  .:53 {\n"));
  const auto status = ReadYaml(text, [&](const Value& value, int) {
    EXPECT_EQ(ToJson<json>(value), answer) << text;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(Json, IsPureAscii) {
  const std::string text = Json({{"name", "\x1b\xc2\x9b\xff\xe2\x80\xae"}});
  EXPECT_THAT(text, HasSubstr("\\u001b\\u009b\\ufffd\\u202e"));
  for (char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
}

}  // namespace
}  // namespace portolan::ctl
