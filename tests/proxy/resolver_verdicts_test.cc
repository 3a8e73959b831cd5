// Whether a pod that rules by address isolate may ask DNS.
#include "proxy/resolver_verdicts.h"

#include <gtest/gtest.h>

#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {
namespace {

const SocketAddress kNameserver = At("10.43.0.10:53");

struct Allowed {
  bool udp = true;
  bool tcp = true;
  friend bool operator==(const Allowed&, const Allowed&) = default;
};

class ResolverVerdictsTest : public testing::Test {
 protected:
  static std::shared_ptr<const EgressRules> Compile(std::vector<PolicyInput> policies) {
    PolicyCompiler compiler;
    compiler.SetPolicies(std::move(policies), {});
    return compiler.Commit();
  }
  // kube-system/kube-dns, UDP and TCP, with an endpoint at 10.42.0.3 and one at 10.42.0.4.
  void PutClusterDns() {
    Service service;
    service.name = {"kube-system", "kube-dns"};
    service.cluster_ips = {kNameserver.ip};
    service.ports = {{"dns", Protocol::kUdp, 53}, {"dns-tcp", Protocol::kTcp, 53}};
    directory_.Put(service);
    EndpointSlice slice;
    slice.name = {"kube-system", "kube-dns-1"};
    slice.service = "kube-dns";
    slice.ports = {{"dns", Protocol::kUdp, 5353}, {"dns-tcp", Protocol::kTcp, 5353}};
    for (const char* ip : {"10.42.0.3", "10.42.0.4"}) {
      slice.endpoints.emplace_back().addresses = {Ip(ip)};
    }
    directory_.Put(slice);
    routes_.Apply(directory_.Commit(), EndpointsHeld::kAll);
  }
  ResolverVerdicts Find(std::vector<PolicyInput> policies,
                        const dns::DialledInstead& instead = {}) {
    return JudgeResolvers(*Compile(std::move(policies)), nameservers_, instead, *routes_.table());
  }
  Allowed Judge(std::vector<PolicyInput> policies, const dns::DialledInstead& instead = {}) {
    const ResolverVerdicts verdicts = Find(std::move(policies), instead);
    return {verdicts.udp.allowed, verdicts.tcp.allowed};
  }

  std::vector<SocketAddress> nameservers_ = {kNameserver};
  Directory directory_;
  RouteTableBuilder routes_;
};

constexpr Allowed kBoth = {true, true}, kNone = {false, false};

TEST_F(ResolverVerdictsTest, APodThatNobodyIsolatesMayAskAndSoMayOneWithRulesByName) {
  EXPECT_EQ(Judge({}), kBoth);
  EXPECT_EQ(Judge({InAudit(NetworkPolicyOf("a", {}))}), kBoth);
  EXPECT_EQ(Judge({DnsPolicyOf("a", {ToNames({"example.com"}, {})})}), kBoth);
  EXPECT_EQ(
      Judge({NetworkPolicyOf("a", {}), InAudit(DnsPolicyOf("b", {ToNames({"example.com"}, {})}))}),
      kNone)
      << "in audit it allows nothing";
}

TEST_F(ResolverVerdictsTest, WhatPoliciesInAuditWouldForbidIsSaidAndOfSeveralTheBestCounts) {
  const auto audit = InAudit(NetworkPolicyOf("a", {ToBlock("169.254.20.10/32", {}, {Udp(53)})}));
  EXPECT_TRUE(Find({audit}).udp.audited);
  nameservers_.push_back(At("169.254.20.10:53"));
  EXPECT_FALSE(Find({audit}).udp.audited);
  EXPECT_TRUE(Find({audit}).tcp.audited);
  EXPECT_FALSE(Find({InAudit(DnsPolicyOf("b", {ToNames({"example.com"}, {})}))}).udp.audited)
      << "its rules by name imply DNS";
}

TEST_F(ResolverVerdictsTest, AServiceIsJudgedByItsEndpointsOfWhichOneIsEnough) {
  PutClusterDns();
  EXPECT_EQ(Judge({NetworkPolicyOf("a", {ToBlock("10.42.0.4/32", {}, {Udp(5353)})})}),
            (Allowed{.udp = true, .tcp = false}));
  EXPECT_EQ(Judge({NetworkPolicyOf("a", {ToBlock("10.42.0.0/24", {}, {Udp(53), Tcp(53)})})}), kNone)
      << "the endpoints' port counts";
  EXPECT_EQ(Judge({NetworkPolicyOf("a", {ToBlock("10.43.0.10/32", {}, {})})}), kNone);
}

TEST_F(ResolverVerdictsTest, WhereTheEndpointsAreNotHeldWhatIsDialledInTheirPlaceCounts) {
  const auto by_block = NetworkPolicyOf("a", {ToBlock("10.42.0.3/32", {}, {})});
  EXPECT_EQ(Judge({by_block}), kNone);
  EXPECT_EQ(Judge({by_block}, {{{kNameserver}, {At("10.42.0.3:53")}}}), kBoth);
}

TEST_F(ResolverVerdictsTest, AServiceThatIsNotKnownIsJudgedByItsOwnAddress) {
  const auto anywhere = NetworkPolicyOf("a", {ToBlock("0.0.0.0/0", {}, {Udp(53), Tcp(53)})});
  EXPECT_EQ(Judge({anywhere}), kBoth);
  PutClusterDns();
  EXPECT_EQ(Judge({anywhere}), kNone) << "its endpoints have another port";
}

TEST_F(ResolverVerdictsTest, OfSeveralNameserversOneIsEnoughAndOfNoneNoneIs) {
  const auto node_local = NetworkPolicyOf("a", {ToBlock("169.254.20.10/32", {}, {Udp(53)})});
  EXPECT_EQ(Judge({node_local}), kNone);
  nameservers_.push_back(At("169.254.20.10:53"));
  EXPECT_EQ(Judge({node_local}), (Allowed{.udp = true, .tcp = false}));
  nameservers_.clear();
  EXPECT_EQ(Judge({NetworkPolicyOf("a", {ToAnybody({})})}), kNone);
}

}  // namespace
}  // namespace portolan::proxy
