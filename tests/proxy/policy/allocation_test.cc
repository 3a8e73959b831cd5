// Nothing is allocated for a verdict, nor for a connection or a question that passes a gate with
// rules in force.
#include <gtest/gtest.h>

#include "policy/policy_compiler.h"
#include "proxy/policy/name_gate.h"
#include "tests/policy/policies.h"
#include "tests/proxy/forwarder/allocations.h"
#include "tests/proxy/policy/asked.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

TEST(EgressRulesAllocations, ThereAreNoneInAVerdict) {
  PolicyCompiler compiler(0);
  compiler.SetPeers("a", {{Ip("10.0.0.1")}});
  compiler.SetPolicies(
      {NetworkPolicyOf("a", {ToSet("a", {Tcp(80)}), ToSet("a", {Tcp(81)}),
                             ToBlock("10.0.0.0/8", {"10.1.0.0/16"}, {})}),
       InAudit(DnsPolicyOf("b", {ToNames({"api.example.com", "*.example.com"}, {Tcp(443)})}))},
      {Ip("10.9.9.9")});
  const auto rules = compiler.Commit();
  const Wire name("API.example.com");
  const SocketAddress pod = At("10.0.0.1:81"), denied = At("10.1.0.1:80"), own = At("10.9.9.9:1");
  StartCounting();
  for (int i = 0; i < 10; ++i) {
    rules->Judge(pod, Protocol::kTcp);
    rules->Judge(denied, Protocol::kUdp);
    rules->Judge(own, Protocol::kTcp);
    rules->JudgeName(name);
    rules->JudgeLearned(name, 443, Protocol::kTcp);
    rules->IsNamed(name);
    rules->rule_name(0);
    rules->isolating_text();
  }
  EXPECT_EQ(StopCounting(), 0u);
}

TEST(EgressGateAllocations, ThereAreNoneForAConnectionNorForTheAnswerBeforeIt) {
  TestPolicy policy;
  policy.SetRules({NetworkPolicyOf("a", {ToBlock("10.0.0.0/8", {"10.1.0.0/16"}, {Tcp(80)})}),
                   DnsPolicyOf("b", {ToNames({"*.example.com"}, {Tcp(443)})})});
  const Wire name("api.example.com");
  const SocketAddress client = At("10.42.0.7:40000"), pod = At("10.0.0.1:80"),
                      named = At("192.0.2.1:443"), denied = At("10.1.0.1:80");
  const absl::Duration now = absl::Seconds(1000);
  size_t allowed = 0;
  StartCounting();
  for (int i = 0; i < 10; ++i) {
    policy.learned.Add(name, named.ip, absl::Seconds(60), now);
    for (const SocketAddress& to : {pod, named, denied}) {
      EgressPass pass;
      policy.gate.Begin(pass, to, Protocol::kTcp, now);
      const EgressGate::Attempt attempt{Denied::kConnection, client, to};
      if (policy.gate.Allows(pass, to, Protocol::kTcp)) {
        ++allowed;
        policy.gate.OnTaken(pass, attempt, now);
      } else {
        policy.gate.OnDenied(pass, attempt, now);
      }
      policy.gate.End(pass, now);
    }
  }
  EXPECT_EQ(StopCounting(), 0u);
  EXPECT_EQ(allowed, 20u);
}

TEST(NameGateAllocations, ThereAreNoneForAQuestionNorForWhatItsAnswerTeaches) {
  TestPolicy policy;
  const auto rules = Compile({DnsPolicyOf("b", {ToNames({"*.example.com"}, {Tcp(443)})})});
  policy.denials.SetRules(rules);
  NameGate gate({}, policy.learned, policy.denials);
  gate.SetRules(rules);
  gate.SetSearch({"default.svc.cluster.local", "corp.example"});
  gate.SetClusterZones({*dns::wire::Zone::Parse("cluster.local")});
  Asked allowed("api.example.com"), cluster("db.default.svc.cluster.local"),
      search("api.example.com.corp.example"), denied("api.example.net");
  allowed.Reply({{"api.example.com", dns::wire::type::kA, 30, IpBytes("192.0.2.1")}});
  size_t passed = 0;
  StartCounting();
  for (int i = 0; i < 10; ++i) {
    for (Asked* asked : {&allowed, &cluster, &search, &denied}) {
      const auto decision = gate.OnQuery(*asked->exchange, NameGate::Asker::kClient);
      passed += decision.ruling == NameGate::Ruling::kPass;
    }
    gate.OnReply(*allowed.exchange);
  }
  EXPECT_EQ(StopCounting(), 0u);
  EXPECT_EQ(passed, 20u);
  EXPECT_EQ(policy.learned.size(), 1u);
}

}  // namespace
}  // namespace portolan::proxy
