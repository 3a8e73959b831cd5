#include "proxy/explain/policy_tester.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"
#include "tests/proxy/explain/fake_sidecar.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// OddServer has backend.svc.cluster.local, at 10.43.0.123: the Service default/backend at port
// 8080, which leads to 10.42.0.1.
class PolicyTesterTest : public ::testing::Test {
 protected:
  void InForce(std::vector<PolicyInput> policies) {
    PolicyCompiler compiler;
    compiler.SetPolicies(std::move(policies), {Ip("10.0.0.9")});
    sidecar_.explained_policy.rules = compiler.Commit();
  }

  absl::StatusOr<json> Ask(const PolicyTestRequest& request) {
    std::optional<absl::StatusOr<json>> got;
    tester_.Test(request, [&](absl::StatusOr<json> answer) {
      got = std::move(answer);
      loop_.Stop();
    });
    if (!got) loop_.Run();
    return *got;
  }
  json Test(std::string to, uint16_t port, std::string protocol = "TCP") {
    const auto answer = Ask({.to = std::move(to), .port = port, .protocol = std::move(protocol)});
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(json::object());
  }

  EventLoop loop_;
  FakeSidecar sidecar_{loop_};
  PolicyTester tester_{loop_, sidecar_, absl::Milliseconds(100)};
};

TEST_F(PolicyTesterTest, AServiceIsFoundByTheSearchListAndJudgedByItsEndpoints) {
  InForce({NetworkPolicyOf("a", {ToBlock("10.42.0.0/16", {}, {Tcp(8080)})})});
  const json answer = Test("backend", 8080);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["rule"], json({{"policy", "NetworkPolicy/default/a"}, {"index", 0}}));
  EXPECT_EQ(answer["name"], "backend.svc.cluster.local.");
  EXPECT_EQ(answer["rcode"], "NOERROR");
  EXPECT_EQ(answer["at"], json({"10.42.0.1:8080"}));
  ASSERT_EQ(answer["ways"].size(), 1u);
  EXPECT_EQ(answer["ways"][0]["at"], "10.42.0.1:8080");
  EXPECT_EQ(answer["ways"][0]["verdict"], "allowed");
  EXPECT_EQ(answer["ways"][0]["rule"], answer["rule"]);
  EXPECT_EQ(answer["policy"]["enforced"], "Enforced");
  // Not by its own address.
  InForce({NetworkPolicyOf("a", {ToBlock("10.43.0.0/16", {}, {Tcp(8080)})})});
  const json denied = Test("10.43.0.123", 8080);
  EXPECT_EQ(denied["verdict"], "denied");
  EXPECT_EQ(denied["isolatedBy"], json({"NetworkPolicy/default/a"}));
  EXPECT_EQ(denied["at"], json({"10.42.0.1:8080"}));
  EXPECT_FALSE(denied.contains("name"));
}

TEST_F(PolicyTesterTest, AServiceWhoseEndpointsDoNotComeIsNotJudgedByItsOwnAddress) {
  Service unheld = *sidecar_.directory.snapshot()->FindService("default/backend");
  unheld.name.name = "unheld";
  unheld.cluster_ips = {Ip("10.43.0.200")};
  sidecar_.directory.Put(unheld);
  sidecar_.builder.Apply(sidecar_.directory.Commit(), EndpointsHeld::kSome);
  InForce({NetworkPolicyOf("a", {ToBlock("10.43.0.0/16", {}, {Tcp(8080)})})});
  const json denied = Test("10.43.0.200", 8080);
  EXPECT_EQ(denied["verdict"], "denied");
  EXPECT_EQ(denied["at"], json::array());
  EXPECT_THAT(sidecar_.wanted, ::testing::Contains("default/unheld"));
  InForce({NetworkPolicyOf("a", {ToAnybody({})})});
  EXPECT_EQ(Test("10.43.0.200", 8080)["verdict"], "allowed");
}

TEST_F(PolicyTesterTest, AServiceThatIsNotKnownIsNotJudgedByItsOwnAddress) {
  const PolicyInput block = NetworkPolicyOf("a", {ToBlock("10.43.0.0/16", {}, {Tcp(8080)})});
  InForce({block});
  EXPECT_EQ(Test("10.43.0.200", 8080)["verdict"], "allowed") << "no ranges are known";
  sidecar_.explained_policy.service_ranges = {*Cidr::Parse("10.43.0.0/16")};
  const json denied = Test("10.43.0.200", 8080);
  EXPECT_EQ(denied["verdict"], "denied");
  EXPECT_EQ(denied["at"], json::array());
  EXPECT_EQ(denied.value("besides", ""),
            "an address of the Services' ranges, and no known Service's");
  EXPECT_EQ(Test("10.43.0.123", 8080)["at"], json({"10.42.0.1:8080"})) << "this one is known";
  InForce({block, NetworkPolicyOf("b", {ToBlock("0.0.0.0/0", {}, {})})});
  const json allowed = Test("10.43.0.200", 8080);
  EXPECT_EQ(allowed["verdict"], "allowed");
  EXPECT_EQ(allowed["rule"]["policy"], "NetworkPolicy/default/b");
  EXPECT_EQ(allowed["at"], json({"10.43.0.200:8080"}));
  InForce({InAudit(block)});
  EXPECT_EQ(Test("10.43.0.200", 8080)["audited"], true);
  EXPECT_EQ(Test("10.43.0.200", 8080)["ways"][0]["audited"], true);
}

TEST_F(PolicyTesterTest, AnAddressIsJudgedAsItIsWithTheNearestRuleWhereItIsDenied) {
  InForce({NetworkPolicyOf("a", {ToBlock("192.0.2.0/24", {}, {Tcp(443)})})});
  sidecar_.explained_policy.partly = true;
  EXPECT_EQ(Test("192.0.2.1", 443)["verdict"], "allowed");
  const json denied = Test("192.0.2.1", 80);
  EXPECT_EQ(denied["verdict"], "denied");
  EXPECT_EQ(denied["nearest"],
            "rule 0 of NetworkPolicy/default/a allows 192.0.2.1 at TCP 443, not TCP 80");
  EXPECT_EQ(denied["policy"]["enforced"], "PartlyEnforced");
  EXPECT_EQ(Test("192.0.2.1", 443, "udp")["besides"],
            "UDP does not come to the sidecar: nothing is enforced for it");
  sidecar_.forwards = true;
  EXPECT_FALSE(Test("192.0.2.1", 443, "udp").contains("besides"));
  EXPECT_EQ(Test("2001:db8::1", 443)["verdict"], "denied");
  EXPECT_EQ(Test("10.0.0.9", 10250)["verdict"], "allowed") << "the node";
}

TEST_F(PolicyTesterTest, ANameIsJudgedByItsRuleWhetherItWasLearnedOrNot) {
  InForce({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})})});
  json answer = Test("API.example.com", 443);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["learned"], false);
  EXPECT_EQ(answer["rule"]["policy"], "DNSEgressPolicy/default/apis");
  EXPECT_EQ(Test("api.example.com", 80)["verdict"], "denied");
  const json denied = Test("www.example.com", 443);
  EXPECT_EQ(denied["verdict"], "denied");
  EXPECT_THAT(denied["says"].get<std::string>(), HasSubstr("it is not resolved"));
  EXPECT_THAT(denied["nearest"].get<std::string>(), HasSubstr("has api.example.com"));
  EXPECT_FALSE(denied.contains("learned"));
}

TEST_F(PolicyTesterTest, NamesOfTheClusterAreThoseOfTheCorefilesZones) {
  InForce({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})}),
           NetworkPolicyOf("a", {ToBlock("10.42.0.0/16", {}, {Tcp(8080)})})});
  EXPECT_EQ(Test("backend", 8080)["verdict"], "allowed");
  sidecar_.explained_policy.cluster_zones = {*dns::wire::Zone::Parse("k8s.example")};
  EXPECT_THAT(Test("backend", 8080)["says"].get<std::string>(), HasSubstr("it is not resolved"));
}

TEST_F(PolicyTesterTest, WhatAutopathCompletesIsJudgedByTheNameItFound) {
  PolicyInput apis = DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})});
  apis.isolates_names = false;
  InForce({NetworkPolicyOf("a", {}), apis});
  sidecar_.completes = true;
  json answer = Test("api.example.com", 443);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["name"], "api.example.com.default.svc.cluster.local.");
  EXPECT_EQ(answer["rule"]["policy"], "DNSEgressPolicy/default/apis");
  EXPECT_EQ(answer["learned"], false);
  EXPECT_EQ(Test("api.example.com", 80)["verdict"], "denied");
}

TEST_F(PolicyTesterTest, WhatANameHasLedToIsReachedByItsAddressToo) {
  InForce({DnsPolicyOf("apis", {ToNames({"api.example.com", "*.svc.cluster.local"}, {Tcp(443)})})});
  EXPECT_EQ(Test("192.0.2.1", 443)["verdict"], "denied");
  sidecar_.explained_policy.learned = {
      {.name = "api.example.com.", .ip = Ip("192.0.2.1"), .expires = {}, .last_used = {}},
      {.name = "backend.svc.cluster.local.",
       .ip = Ip("10.43.0.123"),
       .expires = {},
       .last_used = {}}};
  EXPECT_EQ(Test("192.0.2.1", 443)["verdict"], "allowed");
  EXPECT_EQ(Test("192.0.2.1", 80)["verdict"], "denied");
  EXPECT_EQ(Test("192.0.2.2", 443)["verdict"], "denied");
  EXPECT_EQ(Test("backend", 443)["learned"], true);
}

TEST_F(PolicyTesterTest, WhileNoPolicyIsKnownTheSettingDecides) {
  json answer = Test("192.0.2.1", 443);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["onNoPolicy"], "open");
  EXPECT_EQ(answer["policy"], json({{"known", false}}));
  sidecar_.explained_policy.open_while_unknown = false;
  sidecar_.explained_policy.own = {Ip("10.42.0.7")};
  answer = Test("192.0.2.1", 443);
  EXPECT_EQ(answer["verdict"], "denied");
  EXPECT_EQ(answer["ways"][0]["verdict"], "denied");
  EXPECT_EQ(answer["onNoPolicy"], "closed");
  EXPECT_EQ(Test("10.42.0.7", 443)["verdict"], "allowed");
}

TEST_F(PolicyTesterTest, WhereTheResolverIsForbiddenNoNameIsReached) {
  InForce({NetworkPolicyOf("a", {ToBlock("0.0.0.0/0", {}, {Tcp(8080)})})});
  sidecar_.explained_policy.resolvers.udp.allowed = false;
  sidecar_.explained_policy.resolvers.tcp.allowed = false;
  const json answer = Test("backend", 8080);
  EXPECT_EQ(answer["verdict"], "denied");
  EXPECT_THAT(answer["says"].get<std::string>(), HasSubstr("nameservers"));
  EXPECT_EQ(Test("10.43.0.123", 8080)["verdict"], "allowed");
  sidecar_.explained_policy.resolvers.tcp.allowed = true;
  EXPECT_EQ(
      Test("backend", 8080)["says"],
      "no name is resolved: over UDP, as the pod's nameservers may be reached at TCP 53 alone");
}

TEST_F(PolicyTesterTest, WhatElseIsInTheWayIsSaid) {
  InForce({});
  EXPECT_THAT(Test("backend", 81)["besides"].get<std::string>(), HasSubstr("no such port"));
  EXPECT_FALSE(Test("backend", 8080).contains("besides"));
}

TEST_F(PolicyTesterTest, AServiceWithoutThatPortIsNotJudgedByItsOwnAddress) {
  InForce({NetworkPolicyOf("a", {ToBlock("10.43.0.0/16", {}, {})})});
  for (const char* to : {"backend", "10.43.0.123"}) {
    const json answer = Test(to, 81);
    EXPECT_EQ(answer["verdict"], "denied") << to;
    EXPECT_EQ(answer["at"], json::array());
    EXPECT_EQ(answer["besides"], "the cluster IP has no such port: reset");
  }
}

TEST_F(PolicyTesterTest, WhatPoliciesInAuditWouldDenyIsAllowedAndSaid) {
  InForce({InAudit(DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})}))});
  EXPECT_EQ(Test("192.0.2.1", 443)["verdict"], "allowed");
  EXPECT_EQ(Test("192.0.2.1", 443)["audited"], true);
  EXPECT_EQ(Test("www.example.com", 443)["audited"], true);
  EXPECT_EQ(Test("api.example.com", 443)["audited"], false);
}

TEST_F(PolicyTesterTest, AServiceIsAuditedWhereAllItsEndpointsAre) {
  EndpointSlice more;
  more.name = {"default", "backend-more"};
  more.service = "backend";
  more.ports = {{"http", Protocol::kTcp, 8080}};
  more.endpoints.resize(1);
  more.endpoints[0].addresses = {Ip("10.42.0.3")};
  sidecar_.directory.Put(more);
  sidecar_.builder.Apply(sidecar_.directory.Commit(), EndpointsHeld::kAll);
  InForce({InAudit(NetworkPolicyOf("a", {ToBlock("10.42.0.3/32", {}, {Tcp(8080)})}))});
  const json answer = Test("10.43.0.123", 8080);
  EXPECT_EQ(answer["audited"], false);
  EXPECT_EQ(answer["at"], json({"10.42.0.1:8080", "10.42.0.3:8080"}));
  EXPECT_EQ(answer["ways"][0]["audited"], true);
  InForce({InAudit(NetworkPolicyOf("a", {ToBlock("10.42.0.9/32", {}, {Tcp(8080)})}))});
  EXPECT_EQ(Test("10.43.0.123", 8080)["audited"], true);
}

TEST_F(PolicyTesterTest, ALookupWithoutAnAnswerIsSaidAndTheNameJudgedAlone) {
  InForce({DnsPolicyOf("apis", {ToNames({"silent.example.com"}, {})})});
  const json answer = Test("silent.example.com", 443);
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["error"], "no answer in time");
  EXPECT_EQ(answer["at"], json::array());
}

TEST_F(PolicyTesterTest, RefusesWhatCannotBeTested) {
  for (const PolicyTestRequest& request :
       {PolicyTestRequest{"", 80, "TCP"}, PolicyTestRequest{"a..b", 80, "TCP"},
        PolicyTestRequest{"a", 0, "TCP"}, PolicyTestRequest{"a", 80, "SCTP"}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Ask(request).status())) << request.to;
  }
}

TEST_F(PolicyTesterTest, BoundsHowManyAreUnderWayAndForgetsThemWithIt) {
  {
    PolicyTester busy(loop_, sidecar_);
    for (size_t i = 0; i < PolicyTester::kMostAtOnce; ++i) {
      busy.Test({.to = "10.43.0.123", .port = 1},
                [](const auto&) { ADD_FAILURE() << "it is gone"; });
    }
    absl::Status refused;
    busy.Test({.to = "backend", .port = 1}, [&](const auto& got) { refused = got.status(); });
    EXPECT_TRUE(absl::IsResourceExhausted(refused));
  }
  EXPECT_EQ(Test("192.0.2.1", 443)["verdict"], "allowed");
}

}  // namespace
}  // namespace portolan::proxy
