#include "policy/egress_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "common/text.h"
#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"

namespace portolan {
namespace {

using testing::ElementsAre;

constexpr auto kTcp = Protocol::kTcp;
constexpr auto kUdp = Protocol::kUdp;

class EgressRulesTest : public testing::Test {
 protected:
  std::shared_ptr<const EgressRules> Of(std::vector<PolicyInput> policies) {
    compiler_.SetPolicies(std::move(policies), {Ip("10.9.9.9"), Ip("fd00::9")});
    rules_ = compiler_.Commit();
    return rules_;
  }
  bool Allowed(std::string_view to, Protocol protocol = kTcp) const {
    return rules_->Judge(At(to), protocol).allowed;
  }
  std::string Deciding(const EgressRules::Verdict& verdict) const {
    if (verdict.rule == EgressRules::kNone) return "none";
    const auto name = rules_->rule_name(verdict.rule);
    return std::string(name.policy) + " " + std::to_string(name.index);
  }

  PolicyCompiler compiler_;
  std::shared_ptr<const EgressRules> rules_;
};

TEST_F(EgressRulesTest, WithoutPoliciesEverythingIsAllowed) {
  Of({});
  EXPECT_FALSE(rules_->isolates());
  EXPECT_FALSE(rules_->isolates_names());
  EXPECT_FALSE(rules_->has_names());
  EXPECT_TRUE(Allowed("192.0.2.1:80"));
  EXPECT_TRUE(rules_->JudgeName(Wire("example.com")).allowed);
  EXPECT_FALSE(rules_->JudgeLearned(Wire("example.com"), 80, kTcp).allowed);
  EXPECT_TRUE(rules_->isolating().empty());
  EXPECT_EQ(rules_->isolating_text(), "");
}

TEST_F(EgressRulesTest, APolicyWithoutRulesDeniesAllButLoopbackTheOwnAddressesAndTheNode) {
  Of({NetworkPolicyOf("deny-all", {})});
  EXPECT_TRUE(rules_->isolates());
  EXPECT_FALSE(Allowed("192.0.2.1:80"));
  EXPECT_FALSE(Allowed("[2001:db8::1]:80"));
  EXPECT_TRUE(Allowed("127.0.0.1:80"));
  EXPECT_TRUE(Allowed("127.1.2.3:80", kUdp));
  EXPECT_TRUE(Allowed("[::1]:80"));
  EXPECT_TRUE(Allowed("10.9.9.9:10250"));
  EXPECT_TRUE(Allowed("[fd00::9]:10250"));
  EXPECT_TRUE(rules_->JudgeName(Wire("example.com")).allowed);  // names are not isolated by it
}

TEST_F(EgressRulesTest, ARuleForAnybodyAllowsBothFamiliesAtItsPorts) {
  Of({NetworkPolicyOf("web", {ToAnybody({Tcp(443), Udp(53)})})});
  EXPECT_TRUE(Allowed("192.0.2.1:443"));
  EXPECT_TRUE(Allowed("[2001:db8::1]:443"));
  EXPECT_TRUE(Allowed("192.0.2.1:53", kUdp));
  EXPECT_FALSE(Allowed("192.0.2.1:443", kUdp));
  EXPECT_FALSE(Allowed("192.0.2.1:53"));
}

TEST_F(EgressRulesTest, ARuleWithoutPortsAllowsAllOfThemAndAPortWithoutNumberThoseOfItsProtocol) {
  Of({NetworkPolicyOf("a",
                      {ToBlock("10.0.0.0/24", {}, {}), ToBlock("10.0.1.0/24", {}, {Udp(0)})})});
  for (const std::string port : {"1", "80", "65535"}) {
    EXPECT_TRUE(Allowed("10.0.0.1:" + port));
    EXPECT_TRUE(Allowed("10.0.0.1:" + port, kUdp));
    EXPECT_FALSE(Allowed("10.0.1.1:" + port));
    EXPECT_TRUE(Allowed("10.0.1.1:" + port, kUdp));
  }
}

TEST_F(EgressRulesTest, ARangeOfPortsHasBothItsEnds) {
  Of({NetworkPolicyOf("a", {ToAnybody({Tcp(32000, 32768)})})});
  EXPECT_FALSE(Allowed("192.0.2.1:31999"));
  EXPECT_TRUE(Allowed("192.0.2.1:32000"));
  EXPECT_TRUE(Allowed("192.0.2.1:32768"));
  EXPECT_FALSE(Allowed("192.0.2.1:32769"));
}

TEST_F(EgressRulesTest, SctpMatchesNothingThatIsCarried) {
  Of({NetworkPolicyOf("a", {ToAnybody({{Protocol::kSctp, 80, 0}})})});
  EXPECT_FALSE(Allowed("192.0.2.1:80", kTcp));
  EXPECT_FALSE(Allowed("192.0.2.1:80", kUdp));
  EXPECT_FALSE(Allowed("192.0.2.1:80", Protocol::kSctp));
}

TEST_F(EgressRulesTest, ABlockAllowsWhatIsNotExcepted) {
  Of({NetworkPolicyOf("a", {ToBlock("172.17.0.0/16", {"172.17.1.0/24", "172.17.3.7/32"}, {})})});
  EXPECT_TRUE(Allowed("172.17.0.0:80"));
  EXPECT_TRUE(Allowed("172.17.0.255:80"));
  EXPECT_FALSE(Allowed("172.17.1.0:80"));
  EXPECT_FALSE(Allowed("172.17.1.255:80"));
  EXPECT_TRUE(Allowed("172.17.2.0:80"));
  EXPECT_TRUE(Allowed("172.17.3.6:80"));
  EXPECT_FALSE(Allowed("172.17.3.7:80"));
  EXPECT_TRUE(Allowed("172.17.3.8:80"));
  EXPECT_TRUE(Allowed("172.17.255.255:80"));
  EXPECT_FALSE(Allowed("172.16.255.255:80"));
  EXPECT_FALSE(Allowed("172.18.0.0:80"));
}

TEST_F(EgressRulesTest, WhatOneBlockExceptsAnotherMayAllow) {
  Of({NetworkPolicyOf(
      "a", {ToBlock("0.0.0.0/0", {"10.0.0.0/8"}, {}), ToBlock("10.1.0.0/16", {}, {Tcp(80)})})});
  EXPECT_TRUE(Allowed("8.8.8.8:53"));
  EXPECT_FALSE(Allowed("10.2.0.1:80"));
  EXPECT_TRUE(Allowed("10.1.0.1:80"));
  EXPECT_FALSE(Allowed("10.1.0.1:81"));
  EXPECT_FALSE(Allowed("[2001:db8::1]:53"));  // 0.0.0.0/0 is IPv4
}

TEST_F(EgressRulesTest, BlocksReachToTheEndsOfTheAddressSpace) {
  Of({NetworkPolicyOf("a",
                      {ToBlock("0.0.0.0/0", {"0.0.0.0/32", "255.255.255.255/32"}, {}),
                       ToBlock("::/0", {"::/1"}, {}), ToBlock("255.255.255.255/32", {}, {})})});
  EXPECT_FALSE(Allowed("0.0.0.0:80"));
  EXPECT_TRUE(Allowed("0.0.0.1:80"));
  EXPECT_TRUE(Allowed("255.255.255.254:80"));
  EXPECT_TRUE(Allowed("255.255.255.255:80"));
  EXPECT_FALSE(Allowed("[7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80"));
  EXPECT_TRUE(Allowed("[8000::]:80"));
  EXPECT_TRUE(Allowed("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80"));
}

TEST_F(EgressRulesTest, AMappedAddressIsJudgedAsTheIpv4AddressItIs) {
  Of({NetworkPolicyOf("a", {ToBlock("192.0.2.0/24", {}, {})})});
  const SocketAddress mapped{Ip("::ffff:192.0.2.1"), 80};
  EXPECT_TRUE(rules_->Judge(mapped, kTcp).allowed);
  Of({NetworkPolicyOf("a", {ToBlock("::/0", {"::fffe:0:0/96"}, {})})});
  EXPECT_FALSE(rules_->Judge(mapped, kTcp).allowed);
  EXPECT_FALSE(Allowed("[::fffe:c000:201]:80"));
  EXPECT_TRUE(Allowed("[::1:0:0:0]:80"));
}

TEST_F(EgressRulesTest, MembersOfASetAreAllowedAtTheRulesPorts) {
  compiler_.SetPeers("db", {{Ip("10.0.0.1")}, {Ip("fd00::1")}});
  Of({NetworkPolicyOf("db", {ToSet("db", {Tcp(5432)})})});
  EXPECT_TRUE(Allowed("10.0.0.1:5432"));
  EXPECT_TRUE(Allowed("[fd00::1]:5432"));
  EXPECT_FALSE(Allowed("10.0.0.1:5433"));
  EXPECT_FALSE(Allowed("10.0.0.1:5432", kUdp));
  EXPECT_FALSE(Allowed("10.0.0.2:5432"));
}

TEST_F(EgressRulesTest, APortByNameIsThatOfEachPeer) {
  compiler_.SetPeers(
      "http",
      {{Ip("10.0.0.1"), 8080}, {Ip("10.0.0.2"), 80}, {Ip("10.0.0.3"), 80}, {Ip("10.0.0.3"), 81}});
  compiler_.SetPeers("all", {{Ip("10.0.0.1")}, {Ip("10.0.0.2")}});
  Of({NetworkPolicyOf("a", {ToSet("http", {Tcp(0)}), ToSet("all", {Udp(53)})})});
  EXPECT_TRUE(Allowed("10.0.0.1:8080"));
  EXPECT_FALSE(Allowed("10.0.0.1:80"));
  EXPECT_FALSE(Allowed("10.0.0.1:8080", kUdp));
  EXPECT_TRUE(Allowed("10.0.0.2:80"));
  EXPECT_TRUE(Allowed("10.0.0.3:80"));
  EXPECT_TRUE(Allowed("10.0.0.3:81"));
  EXPECT_TRUE(Allowed("10.0.0.2:53", kUdp));
  EXPECT_FALSE(Allowed("10.0.0.3:53", kUdp));
}

TEST_F(EgressRulesTest, PoliciesAddUpAndTheFirstRuleThatAllowsIsNamed) {
  compiler_.SetPeers("a", {{Ip("10.0.0.1")}});
  Of({NetworkPolicyOf("one",
                      {ToBlock("10.0.0.0/8", {}, {Tcp(1, 100)}), ToSet("a", {Tcp(80, 200)})}),
      NetworkPolicyOf("two", {ToAnybody({Tcp(150, 300)})})});
  const auto deciding = [&](std::string_view to) { return Deciding(rules_->Judge(At(to), kTcp)); };
  EXPECT_EQ(deciding("10.0.0.1:80"), "NetworkPolicy/default/one 0");
  EXPECT_EQ(deciding("10.0.0.1:101"), "NetworkPolicy/default/one 1");
  EXPECT_EQ(deciding("10.0.0.1:200"), "NetworkPolicy/default/one 1");
  EXPECT_EQ(deciding("10.0.0.1:201"), "NetworkPolicy/default/two 0");
  EXPECT_EQ(deciding("10.0.0.2:150"), "NetworkPolicy/default/two 0");
  EXPECT_EQ(deciding("10.0.0.2:101"), "none");
  EXPECT_EQ(deciding("127.0.0.1:80"), "none");
  EXPECT_EQ(rules_->isolating_text(), "NetworkPolicy/default/one, NetworkPolicy/default/two");
  EXPECT_EQ(rules_->size().policies, 2u);
  EXPECT_EQ(rules_->size().rules, 3u);
  EXPECT_EQ(rules_->size().peers, 1u);
}

TEST_F(EgressRulesTest, WhatMayGoAnywhereIsAllowedByARuleForAllAddressesAtEveryPortAlone) {
  const auto unknown = [&] { return rules_->JudgeUnknown(IpFamily::kIpv4, kTcp); };
  Of({NetworkPolicyOf("one", {ToBlock("0.0.0.0/1", {}, {}), ToBlock("128.0.0.0/1", {}, {}),
                              ToBlock("0.0.0.0/0", {"10.0.0.0/8"}, {}),
                              ToBlock("0.0.0.0/0", {}, {Tcp(80)}), ToAnybody({Tcp(2, 65535)})})});
  EXPECT_FALSE(unknown().allowed);
  Of({NetworkPolicyOf("one", {ToAnybody({Tcp(80)}), ToAnybody({}), ToAnybody({})})});
  EXPECT_EQ(Deciding(unknown()), "NetworkPolicy/default/one 1");
  const PolicyInput in_audit = InAudit(NetworkPolicyOf("audit", {ToAnybody({})}));
  Of({NetworkPolicyOf("one", {}), in_audit});
  EXPECT_FALSE(unknown().allowed);
  Of({in_audit});
  EXPECT_FALSE(unknown().audited);
  Of({InAudit(NetworkPolicyOf("audit", {}))});
  EXPECT_TRUE(unknown().allowed);
  EXPECT_TRUE(unknown().audited);
}

TEST_F(EgressRulesTest, WhatMayGoAnywhereIsAllowedByAWholeBlockForItsFamilyAlone) {
  const auto allows = [&](IpFamily family) { return rules_->JudgeUnknown(family, kTcp).allowed; };
  Of({NetworkPolicyOf("one", {ToBlock("0.0.0.0/0", {}, {})})});
  EXPECT_TRUE(allows(IpFamily::kIpv4));
  EXPECT_FALSE(allows(IpFamily::kIpv6));
  EXPECT_FALSE(rules_->JudgeUnknown(IpFamily::kIpv4, Protocol::kSctp).allowed);
  Of({NetworkPolicyOf("one", {ToBlock("::/0", {}, {})})});
  EXPECT_FALSE(allows(IpFamily::kIpv4));
  EXPECT_TRUE(allows(IpFamily::kIpv6));
}

TEST_F(EgressRulesTest, WhatMayGoAnywhereIsAllowedByEveryPortOfItsProtocolAlone) {
  const auto allows = [&](Protocol protocol) {
    return rules_->JudgeUnknown(IpFamily::kIpv6, protocol).allowed;
  };
  for (const PortInput& every : {Tcp(0), Tcp(1, 65535)}) {
    Of({NetworkPolicyOf("one", {ToAnybody({Udp(53), every})})});
    EXPECT_TRUE(allows(kTcp));
    EXPECT_FALSE(allows(kUdp));
  }
  Of({NetworkPolicyOf("one", {ToAnybody({Udp(0)})})});
  EXPECT_FALSE(allows(kTcp));
  EXPECT_TRUE(allows(kUdp));
  Of({NetworkPolicyOf("one", {ToAnybody({{.protocol = kTcp, .name = "http"}})})});
  EXPECT_FALSE(allows(kTcp));
}

TEST_F(EgressRulesTest, WhereNothingIsolatesNoRuleIsNamed) {
  PolicyInput adds = DnsPolicyOf("adds", {ToAnybody({})});
  adds.isolates = adds.isolates_names = false;
  Of({adds});
  EXPECT_FALSE(rules_->isolates());
  EXPECT_EQ(Deciding(rules_->Judge(At("192.0.2.1:80"), kTcp)), "none");
}

TEST_F(EgressRulesTest, NamesAreMatchedInAnyCaseAndAWildcardByOneOrMoreLabels) {
  Of({DnsPolicyOf("apis", {ToNames({"api.example.com", "*.example.org"}, {Tcp(443)})})});
  EXPECT_TRUE(rules_->has_names());
  EXPECT_TRUE(rules_->allows_dns());
  EXPECT_TRUE(rules_->isolates_names());
  const auto allowed = [&](std::string_view name) {
    const Wire wire(name);
    EXPECT_EQ(rules_->IsNamed(wire), rules_->JudgeName(wire).allowed) << name;
    EXPECT_EQ(rules_->RulesOfLower(Wire(Lower(name))), rules_->RulesOf(wire)) << name;
    return rules_->JudgeName(wire).allowed;
  };
  EXPECT_TRUE(allowed("api.example.com"));
  EXPECT_TRUE(allowed("API.Example.COM."));
  EXPECT_FALSE(allowed("x.api.example.com"));
  EXPECT_FALSE(allowed("example.com"));
  EXPECT_FALSE(allowed("example.org"));
  EXPECT_TRUE(allowed("a.example.org"));
  EXPECT_TRUE(allowed("a.B.c.EXAMPLE.org"));
  EXPECT_FALSE(allowed("badexample.org"));
  EXPECT_FALSE(allowed("."));
  EXPECT_FALSE(allowed("a.example.org.default.svc.cluster.local"));
  EXPECT_FALSE(allowed("a\\.example.org"));  // one label, with a dot in it
}

TEST_F(EgressRulesTest, WhatIsNoNameIsMatchedByNothing) {
  Of({DnsPolicyOf("apis", {ToNames({"*.com", "a..b"}, {})})});
  const std::string name(*dns::wire::NameToWire("example.com"));
  const auto of = [](std::string_view wire) {
    return std::span(reinterpret_cast<const uint8_t*>(wire.data()), wire.size());
  };
  EXPECT_TRUE(rules_->JudgeName(of(name)).allowed);
  EXPECT_FALSE(rules_->JudgeName(of({})).allowed);
  EXPECT_FALSE(rules_->JudgeName(of(name.substr(0, name.size() - 1))).allowed);
  EXPECT_FALSE(rules_->JudgeName(of(name.substr(0, 5))).allowed);
  EXPECT_FALSE(rules_->JudgeName(of(name + name)).allowed);
  EXPECT_FALSE(rules_->JudgeName(of(std::string(300, '\1'))).allowed);
  EXPECT_FALSE(rules_->JudgeName(of(std::string(255, '\1'))).allowed) << "128 labels";
  EXPECT_FALSE(rules_->JudgeName(of("\xc0\x0c")).allowed);
}

TEST_F(EgressRulesTest, WhatANameLedToIsAllowedAtTheRulesPortsOnly) {
  Of({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)}),
                           ToNames({"*.example.com"}, {Tcp(8443), Udp(0)})})});
  const Wire name("api.example.com");
  EXPECT_EQ(Deciding(rules_->JudgeLearned(name, 443, kTcp)), "DNSEgressPolicy/default/apis 0");
  EXPECT_EQ(Deciding(rules_->JudgeLearned(name, 8443, kTcp)), "DNSEgressPolicy/default/apis 1");
  EXPECT_TRUE(rules_->JudgeLearned(name, 9, kUdp).allowed);
  EXPECT_FALSE(rules_->JudgeLearned(name, 80, kTcp).allowed);
  EXPECT_FALSE(rules_->JudgeLearned(Wire("example.com"), 443, kTcp).allowed);
  EXPECT_EQ(rules_->JudgeLearned(name, 80, kTcp).rule, EgressRules::kNone);
  EXPECT_FALSE(Allowed("192.0.2.1:443"));  // an address alone has no name
}

TEST_F(EgressRulesTest, APolicyInAuditDeniesNothingAndTellsWhatItWouldDeny) {
  Of({InAudit(NetworkPolicyOf("a", {ToBlock("10.0.0.0/8", {}, {Tcp(80)})}))});
  EXPECT_FALSE(rules_->isolates());
  EXPECT_THAT(rules_->auditing(), ElementsAre("NetworkPolicy/default/a"));
  EXPECT_THAT(rules_->isolating(), ElementsAre());
  const auto judge = [&](std::string_view to) { return rules_->Judge(At(to), kTcp); };
  EXPECT_TRUE(judge("10.0.0.1:80").allowed);
  EXPECT_FALSE(judge("10.0.0.1:80").audited);
  EXPECT_EQ(judge("10.0.0.1:80").rule, EgressRules::kNone);
  EXPECT_TRUE(judge("10.0.0.1:81").allowed);
  EXPECT_TRUE(judge("10.0.0.1:81").audited);
  EXPECT_FALSE(judge("127.0.0.1:81").audited);
  EXPECT_FALSE(judge("10.9.9.9:81").audited);
}

TEST_F(EgressRulesTest, APolicyInAuditAllowsNothingAndIsSilentWhereAnotherRuleAllows) {
  Of({NetworkPolicyOf("enforced", {ToAnybody({Tcp(443)})}),
      InAudit(NetworkPolicyOf("audit", {ToAnybody({Tcp(80)})}))});
  EXPECT_FALSE(Allowed("192.0.2.1:80"));
  const auto verdict = rules_->Judge(At("192.0.2.1:443"), kTcp);
  EXPECT_TRUE(verdict.allowed);
  EXPECT_FALSE(verdict.audited);
}

TEST_F(EgressRulesTest, ARuleByNameInAuditAllowsNothingButKeepsFromBeingAudited) {
  Of({InAudit(DnsPolicyOf("apis", {ToNames({"api.example.com"}, {Tcp(443)})}))});
  EXPECT_TRUE(rules_->has_names());
  EXPECT_FALSE(rules_->allows_dns());
  EXPECT_THAT(rules_->auditing_names(), ElementsAre("DNSEgressPolicy/default/apis"));
  EXPECT_FALSE(rules_->JudgeName(Wire("api.example.com")).audited);
  EXPECT_TRUE(rules_->JudgeName(Wire("www.example.com")).allowed);
  EXPECT_TRUE(rules_->JudgeName(Wire("www.example.com")).audited);
  EXPECT_TRUE(rules_->IsNamed(Wire("api.example.com")));
  const auto learned = rules_->JudgeLearned(Wire("api.example.com"), 443, kTcp);
  EXPECT_FALSE(learned.allowed);
  EXPECT_EQ(Deciding(learned), "DNSEgressPolicy/default/apis 0");
}

TEST_F(EgressRulesTest, NamesAreIsolatedByThePoliciesThatSaySo) {
  Of({NetworkPolicyOf("a", {}), DnsPolicyOf("b", {ToNames({"example.com"}, {})})});
  EXPECT_THAT(rules_->isolating(),
              ElementsAre("NetworkPolicy/default/a", "DNSEgressPolicy/default/b"));
  EXPECT_THAT(rules_->isolating_names(), ElementsAre("DNSEgressPolicy/default/b"));
  EXPECT_EQ(rules_->isolating_names_text(), "DNSEgressPolicy/default/b");
}

TEST_F(EgressRulesTest, TheTextOfIsolatingPoliciesIsCutBetweenNames) {
  std::vector<PolicyInput> policies;
  for (int i = 0; i < 12; ++i) {
    policies.push_back(NetworkPolicyOf("policy-" + std::to_string(i), {}));
    Of(policies);
    EXPECT_LE(rules_->isolating_text().size(), EgressRules::kTextBytes);
  }
  EXPECT_TRUE(rules_->isolating_text().ends_with("NetworkPolicy/default/policy-5, ..."))
      << rules_->isolating_text();
  Of({NetworkPolicyOf(std::string(253, 'x'), {}), policies[0]});
  EXPECT_EQ(rules_->isolating_text().size(), EgressRules::kTextBytes);
  EXPECT_TRUE(rules_->isolating_text().ends_with("xxx..."));
}

}  // namespace
}  // namespace portolan
