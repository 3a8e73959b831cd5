#include "policy/nearest.h"

#include <gtest/gtest.h>

#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"

namespace portolan {
namespace {

class NearestTest : public testing::Test {
 protected:
  std::string Nearest(std::string_view to, Protocol protocol = Protocol::kTcp) {
    return compiler_.Commit()->Nearest(At(to), protocol);
  }
  std::string NearestName(std::string_view name) {
    return compiler_.Commit()->NearestName(Wire(name));
  }
  void Set(std::vector<PolicyInput> policies) { compiler_.SetPolicies(std::move(policies), {}); }

  PolicyCompiler compiler_;
};

TEST_F(NearestTest, ARuleThatHasTheAddressAtAnotherPort) {
  compiler_.SetPeers("db", {{Ip("10.0.0.1")}});
  Set({NetworkPolicyOf("db", {ToAnybody({Tcp(443), Udp(53)}), ToSet("db", {Tcp(5000, 5432)}),
                              ToBlock("10.1.0.0/16", {}, {Udp(0)})})});
  EXPECT_EQ(Nearest("10.0.0.1:5433"),
            "rule 1 of NetworkPolicy/default/db allows 10.0.0.1 at TCP 5000-5432, not TCP 5433");
  EXPECT_EQ(Nearest("10.0.0.2:5433"),
            "rule 0 of NetworkPolicy/default/db allows 10.0.0.2 at TCP 443, not TCP 5433");
  EXPECT_EQ(Nearest("10.0.0.1:53"),
            "rule 0 of NetworkPolicy/default/db allows 10.0.0.1 at TCP 443, not TCP 53");
}

TEST_F(NearestTest, AnotherProtocolWhereNoRuleHasThisOne) {
  Set({NetworkPolicyOf("dns", {ToBlock("10.1.0.0/16", {}, {Udp(0)})})});
  EXPECT_EQ(Nearest("10.1.0.1:53"),
            "rule 0 of NetworkPolicy/default/dns allows 10.1.0.1 at every UDP port, not TCP 53");
}

TEST_F(NearestTest, ARuleThatExceptsTheAddress) {
  Set({NetworkPolicyOf("a", {ToBlock("10.0.0.0/8", {"10.1.0.0/16"}, {Tcp(80)})})});
  EXPECT_EQ(Nearest("10.1.2.3:80"),
            "rule 0 of NetworkPolicy/default/a allows 10.0.0.0/8 except 10.1.0.0/16, which has "
            "10.1.2.3");
}

TEST_F(NearestTest, ABlockThatIsLikeTheAddressElseOtherPods) {
  compiler_.SetPeers("db", {{Ip("10.7.0.1")}});
  Set({NetworkPolicyOf(
      "a", {ToBlock("192.168.0.0/16", {}, {Tcp(80)}), ToBlock("192.168.4.0/24", {}, {Tcp(80)}),
            ToSet("db", {Tcp(80)}), ToSet("db", {})})});
  EXPECT_EQ(Nearest("192.169.0.1:80"),
            "rule 0 of NetworkPolicy/default/a allows TCP 80 at 192.168.0.0/16, not 192.169.0.1");
  EXPECT_EQ(Nearest("10.7.0.2:80"),
            "rule 2 of NetworkPolicy/default/a allows TCP 80 at pods, of which 10.7.0.2 is none");
  EXPECT_EQ(Nearest("10.7.0.2:81"), "");
  EXPECT_EQ(Nearest("[2001:db8::1]:81"), "");
}

TEST_F(NearestTest, RulesInAuditCountWhereNothingElseIsolates) {
  const PolicyInput audit = InAudit(NetworkPolicyOf("audit", {ToAnybody({Tcp(80)})}));
  Set({audit});
  EXPECT_EQ(Nearest("10.0.0.1:81"),
            "rule 0 of NetworkPolicy/default/audit allows 10.0.0.1 at TCP 80, not TCP 81");
  Set({NetworkPolicyOf("deny-all", {}), audit});
  EXPECT_EQ(Nearest("10.0.0.1:81"), "");
}

TEST_F(NearestTest, OfNamesTheApexTheSameDomainOrATypingError) {
  Set({DnsPolicyOf("apis", {ToNames({"*.example.com", "api.stripe.com"}, {}),
                            ToNames({"*.eu.example.com"}, {})})});
  EXPECT_EQ(NearestName("Example.com"),
            "rule 0 of DNSEgressPolicy/default/apis has *.example.com, which example.com is not");
  EXPECT_EQ(NearestName("eu.example.com.default.svc.cluster.local"), "");
  EXPECT_EQ(NearestName("www.stripe.com"),
            "rule 0 of DNSEgressPolicy/default/apis has api.stripe.com, which www.stripe.com is "
            "not");
  EXPECT_EQ(NearestName("api.stirpe.com"),
            "rule 0 of DNSEgressPolicy/default/apis has api.stripe.com, which api.stirpe.com is "
            "not");
  EXPECT_EQ(NearestName("nothing.like.it.org"), "");
  EXPECT_EQ(NearestName("."), "");
}

}  // namespace
}  // namespace portolan
