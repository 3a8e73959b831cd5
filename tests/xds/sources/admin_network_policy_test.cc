// ClusterNetworkPolicy and AdminNetworkPolicy as manifests have them.
#include "xds/sources/admin_network_policy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "xds/sources/manifests.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = DnsEgressPolicy::Kind;

// The spec's lines, without their indentation of two.
std::string Cluster(const std::string& egress, const std::string& tier = "Admin") {
  return fmt::format(
      "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
      "metadata: {{name: apis, generation: 3}}\nspec:\n  tier: {}\n  priority: 10\n"
      "  subject: {{namespaces: {{matchLabels: {{team: a}}}}}}\n  egress:\n{}",
      tier, egress);
}

std::string Admin(const std::string& egress) {
  return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"
         "metadata: {name: apis}\nspec:\n  priority: 10\n"
         "  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}\n"
         "  egress:\n" +
         egress;
}

Manifests Read(const std::string& text) {
  auto read = ReadManifests("a.yaml", text, {});
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? *std::move(read) : Manifests();
}

std::optional<DnsEgressPolicy> One(const std::string& text) {
  Manifests read = Read(text);
  if (read.objects.size() != 1) return std::nullopt;
  return std::get<DnsEgressPolicy>(read.objects[0].object);
}

std::string ErrorOf(const std::string& text) {
  auto read = ReadManifests("a.yaml", text, {});
  EXPECT_FALSE(read.ok()) << text;
  return read.ok() ? "" : std::string(Message(read.status()));
}

TEST(ClusterNetworkPolicies, AreTheRulesThatAcceptDomainNames) {
  const auto policy = One(Cluster(R"(
  - {action: Deny, to: [{networks: [10.0.0.0/8]}]}
  - name: apis
    action: Accept
    to:
    - domainNames: [API.example.com., "*.cdn.example.com"]
    - networks: [192.0.2.0/24]
    - domainNames: [other.example]
    protocols:
    - tcp: {destinationPort: {number: 443}}
    - udp: {destinationPort: {range: {start: 5000, end: 5010}}}
    - sctp: {destinationPort: {number: 9}}
  - {action: Accept, to: [{domainNames: [any.example]}]}
  - {action: Pass, to: [{namespaces: {}}]}
)"));
  ASSERT_TRUE(policy.has_value());
  EXPECT_EQ(policy->Key(), "ClusterNetworkPolicy/apis");
  EXPECT_EQ(policy->name.ns, "");
  EXPECT_EQ(policy->namespaces, (ObjectSelector{{{"team", "a"}}, {}}));
  EXPECT_EQ(policy->pods, ObjectSelector());
  EXPECT_EQ(policy->api_generation, 3);
  EXPECT_FALSE(policy->default_deny || policy->audit);
  const DnsEgressRule first = {
      {{"api.example.com", false}, {"cdn.example.com", true}, {"other.example", false}},
      {{Protocol::kTcp, 443, 0, ""}, {Protocol::kUdp, 5000, 5010, ""}, {Protocol::kSctp, 9, 0, ""}},
      1};
  const DnsEgressRule second = {{{"any.example", false}}, {}, 2};
  EXPECT_THAT(policy->rules, ElementsAre(first, second));
}

TEST(AdminNetworkPolicies, AreTheRulesThatAllowDomainNames) {
  const auto policy = One(Admin(R"(
  - action: Allow
    to: [{domainNames: ["*.example.com"]}]
    ports:
    - portNumber: {protocol: TCP, port: 443}
    - portNumber: {port: 80}
    - portRange: {protocol: UDP, start: 1, end: 65535}
)"));
  ASSERT_TRUE(policy.has_value());
  EXPECT_EQ(policy->Key(), "AdminNetworkPolicy/apis");
  EXPECT_EQ(policy->namespaces, ObjectSelector());
  EXPECT_EQ(policy->pods, (ObjectSelector{{{"app", "web"}}, {}}));
  ASSERT_THAT(policy->rules, SizeIs(1));
  EXPECT_THAT(policy->rules[0].ports, ElementsAre(NetworkPolicyPort{Protocol::kTcp, 443, 0, ""},
                                                  NetworkPolicyPort{Protocol::kTcp, 80, 0, ""},
                                                  NetworkPolicyPort{Protocol::kUdp, 1, 65535, ""}));
}

TEST(ClusterNetworkPolicies, WithoutSuchARuleAreNothingAndNoted) {
  const Manifests read = Read(Cluster("  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}\n"));
  EXPECT_THAT(read.objects, IsEmpty());
  EXPECT_THAT(
      read.notes,
      ElementsAre(HasSubstr("ClusterNetworkPolicy apis: 1 of its 1 rules are not enforced")));
}

TEST(ClusterNetworkPolicies, WhatIsWrongInRulesOfOthersIsTheirs) {
  EXPECT_TRUE(One(Cluster(R"(
  - {action: Frobnicate, to: [{planets: {}}], protocols: [{quic: {}}]}
  - {action: Accept, to: [{domainNames: [a.example]}]}
)")));
}

TEST(ClusterNetworkPolicies, OfTierBaselineGiveIsolatedPodsNothing) {
  EXPECT_EQ(One(Cluster("  - {action: Accept, to: [{domainNames: [a.example]}]}\n", "Baseline")),
            std::nullopt);
  // So what is wrong in them is no reason to keep what the object was before.
  EXPECT_TRUE(Read(Cluster("  - {action: Deny, to: [{domainNames: [a.example]}]}\n", "Baseline"))
                  .objects.empty());
}

TEST(ClusterNetworkPolicies, ThatAreWrongAreRefusedByTheirField) {
  std::string many = "a0.example";
  for (int i = 1; i < 26; ++i) many += fmt::format(", a{}.example", i);
  const std::pair<std::string, const char*> cases[] = {
      {"  - {action: Deny, to: [{domainNames: [a.example]}]}\n",
       "spec.egress[0].action: 'Deny': domainNames stand in rules of action Accept alone"},
      {"  - {action: Pass, to: [{domainNames: [a.example]}]}\n", "spec.egress[0].action: 'Pass'"},
      {"  - {action: Allow, to: [{domainNames: [a.example]}]}\n", "spec.egress[0].action: 'Allow'"},
      {"  - {action: Accept, to: [{domainNames: [\"a.*.example\"]}]}\n",
       "spec.egress[0].to[0].domainNames[0]: 'a.*.example' is neither"},
      {"  - {action: Accept, to: [{domainNames: []}]}\n",
       "spec.egress[0].to[0].domainNames: is missing"},
      {"  - {action: Accept, to: [{domainNames: [" + many + "]}]}\n",
       "spec.egress[0].to[0].domainNames: more than 25 names"},
      {"  - {action: Accept, to: [{domainNames: [a.example], networks: [10.0.0.0/8]}]}\n",
       "spec.egress[0].to[0]: is not one of domainNames"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: []}\n",
       "spec.egress[0].protocols: is empty"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: [{icmp: {}}]}\n",
       "spec.egress[0].protocols[0]: is not one of tcp, udp, sctp, destinationNamedPort"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: [{tcp: {}}]}\n",
       "spec.egress[0].protocols[0].tcp: is not one of destinationPort"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: [{destinationNamedPort: "
       "web}]}\n",
       "spec.egress[0].protocols[0].destinationNamedPort: what a name leads to has no named ports"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: [{tcp: {destinationPort: "
       "{number: 0}}}]}\n",
       "spec.egress[0].protocols[0].tcp.destinationPort.number: 0 is not a port"},
      {"  - {action: Accept, to: [{domainNames: [a.example]}], protocols: "
       "[{tcp: {destinationPort: {range: {start: 9, end: 9}}}}]}\n",
       "spec.egress[0].protocols[0].tcp.destinationPort.range.end: is not above start"},
  };
  for (const auto& [egress, error] : cases) {
    EXPECT_THAT(ErrorOf(Cluster(egress)),
                HasSubstr(std::string("ClusterNetworkPolicy apis: ") + error));
  }
  EXPECT_THAT(ErrorOf(Cluster("  - {action: Accept, to: [{domainNames: [a.example]}]}\n", "Other")),
              HasSubstr("spec.tier: 'Other' is none of Admin, Baseline"));
}

TEST(AdminNetworkPolicies, ThatAreWrongAreRefusedByTheirField) {
  const std::pair<std::string, const char*> cases[] = {
      {"  - {action: Accept, to: [{domainNames: [a.example]}]}\n",
       "spec.egress[0].action: 'Accept': domainNames stand in rules of action Allow alone"},
      {"  - {action: Allow, to: [{domainNames: [a.example]}], ports: [{namedPort: web}]}\n",
       "spec.egress[0].ports[0].namedPort: what a name leads to has no named ports"},
      {"  - {action: Allow, to: [{domainNames: [a.example]}], ports: [{portNumber: {protocol: "
       "TCP}}]}\n",
       "spec.egress[0].ports[0].portNumber.port: is missing"},
      {"  - {action: Allow, to: [{domainNames: [a.example]}], ports: [{portRange: {start: 2, end: "
       "1}}]}\n",
       "spec.egress[0].ports[0].portRange.end: is not above start"},
  };
  for (const auto& [egress, error] : cases) {
    EXPECT_THAT(ErrorOf(Admin(egress)),
                HasSubstr(std::string("AdminNetworkPolicy apis: ") + error));
  }
}

TEST(AdminNetworkPolicies, ThatSayNotWhomTheyAreForAreRefused) {
  EXPECT_THAT(ErrorOf("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"
                      "metadata: {name: apis}\nspec:\n  subject: {everybody: {}}\n"
                      "  egress: [{action: Allow, to: [{domainNames: [a.example]}]}]\n"),
              HasSubstr("spec.subject: is not one of namespaces, pods"));
}

}  // namespace
}  // namespace portolan::xds
