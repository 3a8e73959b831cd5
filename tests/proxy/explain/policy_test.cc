// What explain says that policy does.
#include "proxy/explain/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = PolicyVerdict::Kind;

ExplainedPolicy With(std::vector<PolicyInput> policies) {
  PolicyCompiler compiler;
  compiler.SetPolicies(std::move(policies), {Ip("10.0.0.9")});
  ExplainedPolicy policy;
  policy.rules = compiler.Commit();
  policy.cluster_zones = {*dns::wire::Zone::Parse("cluster.local")};
  return policy;
}

PolicyVerdict Name(const ExplainedPolicy& policy, std::string_view name) {
  return JudgeName(policy, name,
                   {"default.svc.cluster.local", "svc.cluster.local", "corp.example"});
}

TEST(ExplainedPolicy, WithoutIsolationEverythingIsAllowed) {
  const ExplainedPolicy policy = With({});
  EXPECT_EQ(Name(policy, "example.com.").kind, Kind::kAllowed);
  const PolicyVerdict verdict = JudgeAddress(policy, At("192.0.2.1:80"), Protocol::kTcp);
  EXPECT_EQ(verdict.says, "no policy isolates the pod");
  EXPECT_EQ(ToJson(policy)["isolates"], false);
}

TEST(ExplainedPolicy, WhileNoneIsKnownTheSettingDecides) {
  ExplainedPolicy policy;
  EXPECT_EQ(JudgeAddress(policy, At("192.0.2.1:80"), Protocol::kTcp).kind, Kind::kAllowed);
  policy.open_while_unknown = false;
  policy.own = {Ip("10.42.0.7")};
  EXPECT_EQ(JudgeAddress(policy, At("192.0.2.1:80"), Protocol::kTcp).kind, Kind::kDenied);
  EXPECT_EQ(JudgeAddress(policy, At("10.42.0.7:80"), Protocol::kTcp).kind, Kind::kAllowed);
  EXPECT_EQ(Name(policy, "example.com.").kind, Kind::kDenied);
  EXPECT_EQ(ToJson(policy), nlohmann::json({{"known", false}}));
}

TEST(ExplainedPolicy, AnAddressIsAllowedByItsRuleOrDeniedByWhoIsolates) {
  const ExplainedPolicy policy =
      With({NetworkPolicyOf(
                "a", {ToBlock("10.1.0.0/16", {}, {}), ToBlock("10.2.0.1/32", {}, {Tcp(5432)})}),
            NetworkPolicyOf("b", {})});
  EXPECT_EQ(JudgeAddress(policy, At("10.2.0.1:5432"), Protocol::kTcp).says,
            "rule 1 of NetworkPolicy/default/a allows it");
  const PolicyVerdict denied = JudgeAddress(policy, At("10.2.0.1:5433"), Protocol::kTcp);
  EXPECT_EQ(denied.kind, Kind::kDenied);
  EXPECT_THAT(denied.isolated_by,
              ElementsAre("NetworkPolicy/default/a", "NetworkPolicy/default/b"));
  EXPECT_THAT(denied.nearest, HasSubstr("rule 1 of NetworkPolicy/default/a"));
  EXPECT_THAT(JudgeAddress(policy, At("10.0.0.9:1"), Protocol::kUdp).says, HasSubstr("node"));
}

TEST(ExplainedPolicy, ANameIsAllowedByItsRuleAsOneOfTheClusterOrNot) {
  const ExplainedPolicy policy = With({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})})});
  EXPECT_EQ(Name(policy, "API.example.com.").says, "rule 0 of DNSEgressPolicy/default/apis has it");
  EXPECT_THAT(Name(policy, "db.default.svc.cluster.local.").says, HasSubstr("of the cluster"));
  const PolicyVerdict expanded = Name(policy, "api.example.com.corp.example.");
  EXPECT_EQ(expanded.kind, Kind::kDenied);
  EXPECT_THAT(expanded.says, HasSubstr("NXDOMAIN: api.example.com is allowed"));
  const PolicyVerdict denied = Name(policy, "www.example.com.");
  EXPECT_EQ(denied.kind, Kind::kDenied);
  EXPECT_THAT(denied.isolated_by, ElementsAre("DNSEgressPolicy/default/apis"));
}

TEST(ExplainedPolicy, NamesOfTheClusterAreThoseOfTheCorefilesZones) {
  ExplainedPolicy policy = With({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})})});
  policy.cluster_zones = {*dns::wire::Zone::Parse("k8s.example"),
                          *dns::wire::Zone::Parse("clusterset.local")};
  EXPECT_THAT(Name(policy, "db.default.svc.K8s.example.").says, HasSubstr("of the cluster"));
  EXPECT_EQ(Name(policy, "db.default.svc.clusterset.local.").kind, Kind::kAllowed);
  EXPECT_EQ(Name(policy, "db.default.svc.cluster.local.").kind, Kind::kDenied);
  EXPECT_EQ(Name(policy, "db.default.svc.notk8s.example.").kind, Kind::kDenied);
  EXPECT_THAT(Name(policy, "db.default.svc.k8s.example.corp.example.").says,
              HasSubstr("NXDOMAIN: db.default.svc.k8s.example is allowed"));
  policy.cluster_zones.clear();
  EXPECT_EQ(Name(policy, "db.default.svc.k8s.example.").kind, Kind::kDenied);
}

TEST(ExplainedPolicy, WhereTheResolverIsForbiddenNoNameIsResolved) {
  ExplainedPolicy policy = With({NetworkPolicyOf("a", {})});
  policy.resolvers.udp.allowed = policy.resolvers.tcp.allowed = false;
  const PolicyVerdict verdict = Name(policy, "db.default.svc.cluster.local.");
  EXPECT_EQ(verdict.kind, Kind::kDenied);
  EXPECT_THAT(verdict.says, HasSubstr("nameservers"));
  EXPECT_THAT(verdict.isolated_by, ElementsAre("NetworkPolicy/default/a"));
}

TEST(ExplainedPolicy, WhereTheResolverMayBeReachedOverTcpAloneNoNameIsResolved) {
  ExplainedPolicy policy = With({NetworkPolicyOf("a", {})});
  policy.resolvers.udp.allowed = false;
  const PolicyVerdict verdict = Name(policy, "db.default.svc.cluster.local.");
  EXPECT_EQ(verdict.kind, Kind::kDenied);
  EXPECT_EQ(verdict.says,
            "REFUSED: over UDP, as the pod's nameservers may be reached at TCP 53 alone");
  policy.resolvers = {.udp = {}, .tcp = {.allowed = false}};
  EXPECT_EQ(Name(policy, "db.default.svc.cluster.local.").kind, Kind::kAllowed);
}

TEST(ExplainedPolicy, WhatANameLeadsToIsAllowedAtTheRulesPorts) {
  ExplainedPolicy policy = With({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})})});
  const auto by_name = [&](std::string_view asked, const char* dialled) {
    return JudgeDialled(policy, asked, At(dialled), Protocol::kTcp).has_value();
  };
  EXPECT_TRUE(by_name("api.example.com.", "192.0.2.1:443"));
  EXPECT_FALSE(by_name("api.example.com.", "192.0.2.1:80"));
  EXPECT_FALSE(by_name("www.example.com.", "192.0.2.1:443"));
  policy.learned = {
      {.name = "api.example.com.", .ip = Ip("192.0.2.1"), .expires = {}, .last_used = {}}};
  EXPECT_TRUE(by_name("www.example.com.", "192.0.2.1:443")) << "the table has it";
  EXPECT_FALSE(by_name("www.example.com.", "192.0.2.2:443"));
}

TEST(ExplainedPolicy, WhatPoliciesInAuditWouldDenyIsSaid) {
  const ExplainedPolicy policy =
      With({InAudit(DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})}))});
  const PolicyVerdict verdict = JudgeAddress(policy, At("192.0.2.1:443"), Protocol::kTcp);
  EXPECT_EQ(ToJson(verdict)["verdict"], "audited");
  EXPECT_THAT(verdict.isolated_by, ElementsAre("DNSEgressPolicy/default/apis"));
  EXPECT_EQ(Name(policy, "www.example.com.").kind, Kind::kAudited);
  const auto named = JudgeDialled(policy, "api.example.com.", At("192.0.2.1:443"), Protocol::kTcp);
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->kind, Kind::kAllowed);
}

TEST(ExplainedPolicy, APodThatIsCapturedInPartIsPartlyEnforced) {
  ExplainedPolicy policy = With({NetworkPolicyOf("a", {})});
  EXPECT_EQ(ToJson(policy)["enforced"], "Enforced");
  policy.partly = true;
  EXPECT_EQ(ToJson(policy)["enforced"], "PartlyEnforced");
}

}  // namespace
}  // namespace portolan::proxy
