#include "proxy/policy/egress_rules.h"

#include <gtest/gtest.h>

#include "proxy/policy/policy_compiler.h"

namespace portolan::proxy {
namespace {

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

TEST(EgressRules, WithoutPoliciesEverythingIsAllowed) {
  PolicyCompiler compiler;
  const auto rules = compiler.Commit();
  EXPECT_FALSE(rules->isolates());
  EXPECT_TRUE(rules->Judge(At("192.0.2.1:80"), Protocol::kTcp).allowed);
}

TEST(EgressRules, APolicyThatIsolatesAllowsWhatItsRulesHaveAndNothingElse) {
  PolicyInput policy{.name = "NetworkPolicy/default/db", .isolates = true};
  policy.rules.push_back({.index = 3, .peer_sets = {"a"}, .ports = {{Protocol::kTcp, 5432}}});
  PolicyCompiler compiler;
  compiler.SetPolicies({policy}, {At("10.9.9.9:0").ip});
  compiler.SetPeers("a", {{At("10.0.0.1:0").ip}});
  const auto rules = compiler.Commit();
  EXPECT_TRUE(rules->isolates());
  const auto allowed = rules->Judge(At("10.0.0.1:5432"), Protocol::kTcp);
  EXPECT_TRUE(allowed.allowed);
  EXPECT_EQ(rules->rule_name(allowed.rule).policy, "NetworkPolicy/default/db");
  EXPECT_EQ(rules->rule_name(allowed.rule).index, 3u);
  EXPECT_FALSE(rules->Judge(At("10.0.0.1:5432"), Protocol::kUdp).allowed);
  EXPECT_FALSE(rules->Judge(At("10.0.0.1:5433"), Protocol::kTcp).allowed);
  EXPECT_FALSE(rules->Judge(At("10.0.0.2:5432"), Protocol::kTcp).allowed);
  EXPECT_TRUE(rules->Judge(At("127.0.0.1:1"), Protocol::kTcp).allowed);
  EXPECT_TRUE(rules->Judge(At("10.9.9.9:1"), Protocol::kUdp).allowed);
}

}  // namespace
}  // namespace portolan::proxy
