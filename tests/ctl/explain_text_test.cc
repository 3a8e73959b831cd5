#include "ctl/explain_text.h"

#include <gtest/gtest.h>

namespace portolan::ctl {
namespace {

using nlohmann::json;

TEST(ExplainText, ShowsTheWayOutStepByStep) {
  const json answer = json::parse(R"({"sidecar": {"lookups": [
    {"name": "backend.default.svc.cluster.local.", "rcode": "NOERROR", "tookMs": 0.12,
     "zone": ".", "plugin": "kubernetes",
     "steps": [{"plugin": "rewrite", "at": "Corefile:3", "outcome": "passed on",
                "says": "rewrite a b", "asks": "b. A"},
               {"plugin": "kubernetes", "at": "Corefile:9", "outcome": "answered", "tookMs": 0.1,
                "says": "the addresses of Service default/backend"}],
     "answers": ["backend.default.svc.cluster.local. 30 IN A 10.43.0.123"],
     "service": {"namespace": "default", "name": "backend", "type": "ClusterIP",
                 "endpointsState": "held", "endpoints": {"ready": 2, "terminating": 0}},
     "objects": [{"kind": "Service", "namespace": "default", "name": "backend",
                  "resourceVersion": "42", "arrived": "2026-11-26T16:00:00.000Z"}]},
    {"name": "late.", "error": "no answer in time", "why": "it is silent", "similar": ["lane"]}],
    "connections": [{"address": "10.43.0.123", "port": 80, "portName": "http", "protocol": "TCP",
      "service": "default/backend", "captured": "yes", "outcome": "forwarded", "says": "joined",
      "policy": {"verdict": "allowed", "says": "no policy applies"},
      "choice": {"how": "random", "says": "one at random"},
      "endpoints": [{"address": "10.42.0.7:8080", "pod": "default/backend-1", "open": 0,
                     "next": "chosen"},
                    {"address": "10.42.0.8:8080", "open": 0, "next": "no", "why": "not ready"}],
      "more": 3}],
    "feed": {"inSync": false, "age": "5m\u001b[2J", "source": "disk", "generation": 7}}})");
  EXPECT_EQ(ExplainText(answer, {}),
            "1. backend.default.svc.cluster.local.   NOERROR   0.12 ms\n"
            "  zone ., answered by kubernetes\n"
            "  STEP         AT           OUTCOME     MS    WHAT\n"
            "  rewrite      Corefile:3   passed on   -     rewrite a b: asks b. A\n"
            "  kubernetes   Corefile:9   answered    0.1   the addresses of Service "
            "default/backend\n"
            "  backend.default.svc.cluster.local. 30 IN A 10.43.0.123\n"
            "  Service default/backend: ClusterIP, endpoints held: 2 ready, 0 terminating\n"
            "  from Service default/backend, resourceVersion 42, arrived 2026-11-26T16:00:00.000Z\n"
            "\n"
            "2. late.   no answer in time\n"
            "  why: it is silent\n"
            "  perhaps: lane\n"
            "\n"
            "Connection to 10.43.0.123, TCP port 80 (http) of Service default/backend\n"
            "  captured: yes\n"
            "  policy: allowed, no policy applies\n"
            "  forwarded: joined\n"
            "  choice: random: one at random\n"
            "  ENDPOINT         POD                 NODE   ZONE   OPEN   NEXT     WHY NOT\n"
            "  10.42.0.7:8080   default/backend-1   -      -      0      chosen   -\n"
            "  10.42.0.8:8080   -                   -      -      0      no       not ready\n"
            "  and 3 more\n"
            "\n"
            "Feed: not in sync, age 5m?[2J, from disk, generation 7\n");
}

TEST(ExplainText, PutsTheThreeSideBySide) {
  const json answer = json::parse(R"({"sidecar": {
      "lookups": [{"name": "a.", "rcode": "NOERROR", "answers": ["a. 30 IN A 10.0.0.1"]}],
      "clusterDns": {"lookups": [{"name": "a.", "rcode": "NXDOMAIN", "answers": []},
                                 {"name": "b.", "error": "no answer in time"}]}},
    "controlPlane": {"name": "a.", "rcode": "NOERROR",
                     "records": [{"name": "a.", "type": "A", "ttl": 5, "data": "10.0.0.1"}]},
    "differences": [{"name": "a.", "kind": "rcode", "what": "W", "likely": "L"}]})");
  EXPECT_EQ(ExplainText(answer, {}),
            "1. a.   NOERROR\n"
            "  a. 30 IN A 10.0.0.1\n"
            "\n"
            "\n"
            "NAME   CONTROL PLANE   SIDECAR      CLUSTER DNS\n"
            "a.     A 10.0.0.1      A 10.0.0.1   NXDOMAIN\n"
            "b.     -               -            no answer in time\n"
            "\n"
            "a.: rcode: W\n"
            "  likely: L\n");
}

TEST(ExplainText, SaysThatAllAgree) {
  const json answer = json::parse(R"({"sidecar": {
      "lookups": [{"name": "a.", "rcode": "NXDOMAIN", "answers": []}],
      "feed": {"inSync": true, "age": "0"}},
    "controlPlane": {"lookups": [{"name": "a.", "rcode": "NXDOMAIN", "answers": []}]},
    "differences": []})");
  EXPECT_EQ(ExplainText(answer, {}),
            "1. a.   NXDOMAIN\n"
            "\n"
            "Feed: in sync, age 0\n"
            "\n"
            "NAME   CONTROL PLANE   SIDECAR\n"
            "a.     NXDOMAIN        NXDOMAIN\n"
            "\n"
            "No difference.\n");
}

TEST(ExplainText, SaysWhoLetsTheClientIn) {
  EXPECT_EQ(ExplainText(json::parse(R"({"sidecar": {}, "ingress": [
                {"at": "10.42.0.7:80", "protocol": "TCP", "pod": "shop/a", "verdict": "allowed",
                 "says": "rule 0 of X allows it", "inForce": true},
                {"at": "10.42.0.8:80", "protocol": "TCP", "pod": "shop/b", "verdict": "denied",
                 "says": "no rule of X allows it", "nearest": "rule 0", "inForce": false},
                {"at": "10.42.0.9:80", "protocol": "TCP", "pod": "shop/c", "verdict": "denied",
                 "says": "no rule of X allows it"}]})"),
                        {}),
            "LET IN AT          POD      VERDICT   IN FORCE         WHY\n"
            "10.42.0.7:80/TCP   shop/a   allowed   yes              rule 0 of X allows it\n"
            "10.42.0.8:80/TCP   shop/b   denied    no               no rule of X allows it; "
            "nearest: rule 0\n"
            "10.42.0.9:80/TCP   shop/c   denied    not known here   no rule of X allows it\n"
            "\n");
}

TEST(ExplainText, WhereTheSidecarIsSilentTheControlPlanesAnswerIsShownAndNothingCompared) {
  const json answer = json::parse(R"({"sidecar": {"error": "it is not connected"},
    "controlPlane": {"name": "a.", "lookups": [{"name": "a.", "rcode": "NOERROR",
                      "answers": ["a. 30 IN A 10.0.0.1"]}]},
    "differences": []})");
  EXPECT_EQ(ExplainText(answer, {}),
            "The sidecar gave no answer: it is not connected\n"
            "\n"
            "NAME   CONTROL PLANE   SIDECAR\n"
            "a.     A 10.0.0.1      -\n");
}

TEST(ExplainText, SurvivesJsonOfAnotherShape) {
  for (const char* text :
       {"[]", "1", "null", R"({"sidecar": {"error": "gone"}})",
        R"({"sidecar": {"lookups": [1, {"answers": [1, {}], "service": {"endpoints": 1},
            "steps": [1, {}], "objects": [1], "similar": [2], "extendedErrors": {}}],
            "connections": [1, {"endpoints": [1]}], "clusterDns": {"lookups": [1, {}]},
            "feed": []}, "controlPlane": [], "differences": [1, {}]})"}) {
    EXPECT_FALSE(ExplainText(json::parse(text), {}).empty()) << text;
  }
}

}  // namespace
}  // namespace portolan::ctl
