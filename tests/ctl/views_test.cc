
// The tables of the commands, and what guards the terminal from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/explain.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "ctl/proxy_status.h"
#include "ctl/terminal.h"

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

TEST(NamesTable, IsAligned) {
  const json answer = json::parse(R"({"names": [
    {"namespace": "default", "name": "backend", "type": "ClusterIP", "headless": false,
     "clusterIPs": ["10.43.0.123", "fd43::123"], "dnsName": "backend.default.svc.cluster.local",
     "ports": [{"name": "http", "protocol": "TCP", "port": 8080},
               {"name": "dns", "protocol": "UDP", "port": 53}],
     "endpoints": {"ready": 3, "serving": 4, "terminating": 1}},
    {"namespace": "default", "name": "twin", "type": "ClusterIP", "headless": true,
     "clusterIPs": [], "dnsName": "twin.default.svc.cluster.local", "ports": [],
     "endpoints": {"ready": 0, "serving": 0, "terminating": 0}},
    {"namespace": "web", "name": "ext", "type": "ExternalName", "externalName": "example.com",
     "dnsName": "ext.web.svc.cluster.local"}]})");
  EXPECT_EQ(
      NamesTable(answer, {}),
      "NAMESPACE   NAME      TYPE           CLUSTER-IP              PORTS             READY   "
      "TERMINATING   DNS\n"
      "default     backend   ClusterIP      10.43.0.123,fd43::123   8080/TCP,53/UDP   3       "
      "1             backend.default.svc.cluster.local\n"
      "default     twin      ClusterIP      None                    -                 0       "
      "0             twin.default.svc.cluster.local\n"
      "web         ext       ExternalName   example.com             -                 -       "
      "-             ext.web.svc.cluster.local\n");
}

TEST(NamesTable, AnEmptyAnswerIsSaid) {
  EXPECT_EQ(NamesTable(json::object(), {}), "No names found.\n");
  EXPECT_EQ(ProxyStatusTable(json::object(), {}, absl::UnixEpoch()), "No sidecar is connected.\n");
}

TEST(ProxyStatusTable, ShowsEachTypeAndWhatWasRefused) {
  const json answer = json::parse(R"({"sidecars": [
    {"node": "default/frontend-1", "version": "0.1.0", "peer": "ipv4:10.42.0.7:40112",
     "connected": "2023-11-14T22:13:20.000Z",
     "types": [{"type": "Service", "status": "SYNCED"}, {"type": "Endpoints", "status": "STALE"}]},
    {"node": "default/frontend-2", "version": "", "peer": "p", "connected": null,
     "types": [{"type": "ProxyConfig", "status": "NACKED", "lastNack": "line 3\u001b[2J"}]}]})");
  EXPECT_EQ(
      ProxyStatusTable(answer, {}, absl::FromUnixSeconds(1'700'000'000 + 3725)),
      "NAME                 SERVICE   ENDPOINTS   PROXYCONFIG   CONNECTED   PEER                   "
      "VERSION\n"
      "default/frontend-1   SYNCED    STALE       -             1h2m        ipv4:10.42.0.7:40112   "
      "0.1.0\n"
      "default/frontend-2   -         -           NACKED        -           p                      "
      "-\n"
      "\n"
      "default/frontend-2 refuses ProxyConfig: line 3?[2J\n");
}

TEST(ExplainText, ShowsTheLookupsAndTheServicesThatTheyAreOf) {
  const json answer = json::parse(R"({"lookups": [
    {"name": "backend.", "rcode": "NXDOMAIN", "answers": []},
    {"name": "backend.default.svc.cluster.local.", "rcode": "NOERROR",
     "answers": ["r1 A 10.0.0.1", "r2 A 10.0.0.2"],
     "service": {"namespace": "default", "name": "backend", "type": "ClusterIP",
                 "endpointsState": "held", "endpoints": {"ready": 2, "terminating": 0}}},
    {"name": "late.", "error": "no answer in time"}],
    "feed": {"inSync": false, "age": "5m\u001b[2J"}})");
  EXPECT_EQ(ExplainText(answer, {}),
            "LOOKUP                               RESULT              ANSWER\n"
            "backend.                             NXDOMAIN            -\n"
            "backend.default.svc.cluster.local.   NOERROR             r1 A 10.0.0.1\n"
            "                                                         r2 A 10.0.0.2\n"
            "late.                                no answer in time   -\n"
            "\n"
            "Service default/backend: ClusterIP, endpoints held: 2 ready, 0 terminating\n"
            "Feed: not in sync, age 5m?[2J\n");
}

TEST(Views, SurviveJsonOfAnotherShape) {
  for (
      const char* text :
      {"[]", "1", "null", R"({"names": 1, "sidecars": {}})",
       R"({"lookups": [1, {"answers": [1, {}], "service": {"endpoints": 1}}, {"service": 1}]})",
       R"({"names": [1, [], {}, null]})",
       R"({"sidecars": [1, {"types": [1, {"type": 5}]}, {"types": "x"}]})",
       R"({"names": [{"name": {}, "ports": [1, {"port": "x"}], "clusterIPs": [1], "endpoints": 3}]})"}) {
    const json answer = json::parse(text);
    EXPECT_FALSE(NamesTable(answer, {}).empty());
    EXPECT_FALSE(ProxyStatusTable(answer, {}, absl::UnixEpoch()).empty());
    EXPECT_FALSE(ExplainText(answer, {}).empty());
  }
}

TEST(Json, IsPureAscii) {
  const std::string text = Json({{"name", "\x1b\xc2\x9b\xff\xe2\x80\xae"}});
  EXPECT_THAT(text, HasSubstr("\\u001b\\u009b\\ufffd\\u202e"));
  for (char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
}

}  // namespace
}  // namespace portolan::ctl
