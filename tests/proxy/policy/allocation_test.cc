// A verdict allocates nothing.
#include <gtest/gtest.h>

#include "proxy/policy/policy_compiler.h"
#include "tests/proxy/forwarder/allocations.h"
#include "tests/proxy/policy/policies.h"

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

}  // namespace
}  // namespace portolan::proxy
