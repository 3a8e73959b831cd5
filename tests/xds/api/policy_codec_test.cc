#include "xds/api/policy_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "common/status.h"
#include "tests/xds/api/policy_samples.h"

namespace portolan::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kPolicy[] = "NetworkPolicy/default/db";
constexpr char kSet[] = "00c0ffee00c0ffee";

Cidr Block(const std::string& text) { return *Cidr::Parse(text); }

PolicyInput FullPolicy() {
  PolicyInput policy{kPolicy, true, true, true, {}};
  RuleInput rule;
  rule.index = 3;
  rule.peer_sets = {kSet, "0000000000000001"};
  rule.blocks = {{Block("10.0.0.0/8"), {Block("10.1.0.0/16"), Block("10.2.0.1/32")}},
                 {Block("fd00::/64"), {}},
                 {Block("0.0.0.0/0"), {}}};
  rule.names = {{"example.com", true}, {"api.example.org", false}};
  rule.ports = {{Protocol::kTcp, 5432, 5440}, {Protocol::kUdp, 53, 0}, {Protocol::kSctp, 0, 0}};
  RuleInput anybody;
  anybody.any_peer = true;
  policy.rules = {rule, anybody, RuleInput{}};
  return policy;
}

std::string ErrorOf(const v1::PolicyRules& rules, const std::string& name = kPolicy) {
  const auto parsed = ParsePolicyRules(MakeResource(name, "1", rules));
  return parsed.ok() ? "" : std::string(Message(parsed.status()));
}

// Of a policy with one rule that `edit` made.
std::string RuleError(const std::function<void(v1::PolicyRule&)>& edit) {
  v1::PolicyRules rules;
  edit(*rules.add_rules());
  return ErrorOf(rules);
}

std::string SetError(const std::function<void(v1::PeerSet&)>& edit,
                     const std::string& name = kSet) {
  v1::PeerSet set;
  edit(set);
  const auto parsed = ParsePeerSet(MakeResource(name, "1", set));
  return parsed.ok() ? "" : std::string(Message(parsed.status()));
}

TEST(PolicyCodec, APolicyComesBackAsItWas) {
  const PolicyInput policy = FullPolicy();
  const auto parsed = ParsePolicyRules(MakeResource(kPolicy, "1", ToProto(policy)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, policy);
}

TEST(PolicyCodec, AnEgressPolicyComesBackAsItWas) {
  const EgressPolicy policy{{"AdminNetworkPolicy/a", kPolicy},
                            {*IpAddress::Parse("192.168.0.1"), *IpAddress::Parse("fd00::1")}};
  const auto parsed = ParseEgressPolicy(MakeResource("default/a", "1", ToProto(policy)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, policy);
}

TEST(PolicyCodec, PeersComeBackInOrderWhateverTheirPortsAndFamilies) {
  const Peers peers = {{*IpAddress::Parse("10.0.0.1"), 80},   {*IpAddress::Parse("10.0.0.1"), 8080},
                       {*IpAddress::Parse("10.0.0.2"), 8080}, {*IpAddress::Parse("10.0.0.3"), 80},
                       {*IpAddress::Parse("fd00::1"), 80},    {*IpAddress::Parse("fd00::2"), 8080}};
  const v1::PeerSet proto = ToProto("pods with app=db", peers);
  EXPECT_THAT(proto.added(), SizeIs(2));
  const auto parsed = ParsePeerSet(MakeResource(kSet, "1", proto));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->is_whole());
  EXPECT_EQ(parsed->describes, "pods with app=db");
  EXPECT_EQ(parsed->added, peers);
  EXPECT_THAT(parsed->removed, IsEmpty());
}

TEST(PolicyCodec, ADifferenceOfSetsComesBackAsItWas) {
  const PeerSet difference{{}, "v7", PeersOf({"10.0.0.1", "fd00::1"}), PeersOf({"10.0.0.9"})};
  const auto parsed = ParsePeerSet(MakeResource(kSet, "1", ToProto(difference)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_FALSE(parsed->is_whole());
  EXPECT_EQ(parsed->base, "v7");
  EXPECT_EQ(parsed->added, difference.added);
  EXPECT_EQ(parsed->removed, difference.removed);
}

TEST(PolicyCodec, ASetOfNobodyIsASet) {
  const auto parsed = ParsePeerSet(MakeResource(kSet, "1", ToProto("", {})));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->added, IsEmpty());
}

TEST(PolicyCodec, OnePeerMoreTakesFewBytes) {
  const PeerSet difference{{}, "123456789abcdef", PeersOf({"10.0.0.1"}), {}};
  EXPECT_LT(MakeResource(kSet, "fedcba987654321", ToProto(difference)).ByteSizeLong(), 120u);
}

TEST(PolicyCodec, ALongDescriptionIsCutAndReadAgain) {
  const v1::PeerSet proto = ToProto(std::string(5000, 'x'), {});
  EXPECT_THAT(proto.describes(), SizeIs(kMaxDescribesBytes));
  EXPECT_TRUE(ParsePeerSet(MakeResource(kSet, "1", proto)).ok());
}

TEST(PolicyCodec, NamesHaveTheirShape) {
  EXPECT_TRUE(IsEgressPolicyName("default/frontend-1"));
  for (const char* name : {"", "/", "default", "default/", "/a", "a/b/c", "a/b c"}) {
    EXPECT_FALSE(IsEgressPolicyName(name)) << name;
  }
  EXPECT_TRUE(IsPolicyRulesName("NetworkPolicy/default/a"));
  EXPECT_TRUE(IsPolicyRulesName("ClusterNetworkPolicy/a"));
  EXPECT_TRUE(IsPolicyRulesName("NetworkPolicy/default/a/ingress"));
  for (const char* name : {"", "a", "a/", "/a", "a//b", "a/b/", "a/b/c/d", "a/b/c/d/e",
                           "a/b/ingress/", "a//c/ingress", "a/b/c/ingress/"}) {
    EXPECT_FALSE(IsPolicyRulesName(name)) << name;
  }
  EXPECT_TRUE(IsIngressRulesName("NetworkPolicy/default/ingress/ingress"));
  for (const char* name : {"", "ingress", "NetworkPolicy/default/ingress", "a/b/c/d",
                           "a/b//ingress", "/b/c/ingress", "a/b/c/d/ingress"}) {
    EXPECT_FALSE(IsIngressRulesName(name)) << name;
  }
  EXPECT_TRUE(IsPeerSetName("0123456789abcdef"));
  for (const char* name : {"", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"}) {
    EXPECT_FALSE(IsPeerSetName(name)) << name;
  }
}

TEST(PolicyCodec, AnErrorNamesTheResourceAndTheField) {
  v1::PolicyRules rules;
  rules.add_rules();
  rules.add_rules()->add_ports()->set_port(70000);
  EXPECT_EQ(ErrorOf(rules),
            "portolan.v1.PolicyRules 'NetworkPolicy/default/db': rules[1]: ports[0]: port: 70000 "
            "is no port");
  EXPECT_EQ(ErrorOf(v1::PolicyRules(), "db"),
            "portolan.v1.PolicyRules 'db': name: not KIND/NAMESPACE/NAME or KIND/NAME");
  EXPECT_EQ(SetError([](v1::PeerSet& set) { set.add_added()->set_v4("abcabc"); }),
            "portolan.v1.PeerSet '00c0ffee00c0ffee': added[0]: v4: 6 bytes are no addresses of 4");
  EXPECT_THAT(SetError([](v1::PeerSet&) {}, "x"), HasSubstr("name: not 16 hexadecimal digits"));
  EXPECT_EQ(Message(ParseEgressPolicy(MakeResource("a", "1", v1::EgressPolicy())).status()),
            "portolan.v1.EgressPolicy 'a': name: not NAMESPACE/POD");
}

TEST(PolicyCodec, AnotherMessageIsRefused) {
  EXPECT_THAT(
      Message(ParsePeerSet(MakeResource(kSet, "1", v1::EgressPolicy())).status()),
      HasSubstr("'type.googleapis.com/portolan.v1.EgressPolicy' cannot be read as portolan.v1."));
}

TEST(PolicyCodec, BadHeadsAreRefused) {
  const auto error_of = [](const v1::EgressPolicy& policy) {
    const auto parsed = ParseEgressPolicy(MakeResource("default/a", "1", policy));
    return parsed.ok() ? "" : std::string(Message(parsed.status()));
  };
  v1::EgressPolicy unsorted;
  unsorted.add_policies("NetworkPolicy/b/b");
  unsorted.add_policies("NetworkPolicy/b/a");
  EXPECT_THAT(error_of(unsorted), HasSubstr("policies[1]: not in order"));
  v1::EgressPolicy twice;
  twice.add_policies("NetworkPolicy/b/a");
  twice.add_policies("NetworkPolicy/b/a");
  EXPECT_THAT(error_of(twice), HasSubstr("policies[1]: not in order"));
  v1::EgressPolicy misnamed;
  misnamed.add_policies("nothing");
  EXPECT_THAT(error_of(misnamed), HasSubstr("policies[0]: not KIND"));
  v1::EgressPolicy odd;
  odd.add_node_addresses("abc");
  EXPECT_THAT(error_of(odd), HasSubstr("node_addresses[0]: 3 bytes are no IP address"));
  v1::EgressPolicy many;
  for (int i = 0; i <= kMaxNodeAddresses; ++i) many.add_node_addresses("abcd");
  EXPECT_THAT(error_of(many), HasSubstr("node_addresses: more than 64"));
}

TEST(PolicyCodec, WhoMayConnectComesBackAsItWas) {
  const EgressPolicy policy{{"NetworkPolicy/b/a"},
                            {},
                            {"NetworkPolicy/b/a/ingress", "NetworkPolicy/b/c/ingress"},
                            {{"web", Protocol::kTcp, 80}, {"dns", Protocol::kUdp, 53}}};
  const auto parsed = ParseEgressPolicy(MakeResource("default/a", "1", ToProto(policy)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, policy);

  PolicyInput rules;
  rules.name = "NetworkPolicy/b/a/ingress";
  rules.rules.emplace_back().ports = {{Protocol::kTcp, 0, 0, "web"}, {Protocol::kTcp, 80, 90}};
  const auto back = ParsePolicyRules(MakeResource(rules.name, "1", ToProto(rules)));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, rules);
}

TEST(PolicyCodec, BadIngressOfAHeadIsRefused) {
  const auto error_of = [](const v1::EgressPolicy& policy) {
    const auto parsed = ParseEgressPolicy(MakeResource("default/a", "1", policy));
    return parsed.ok() ? "" : std::string(Message(parsed.status()));
  };
  v1::EgressPolicy mixed;
  mixed.add_policies("NetworkPolicy/b/a/ingress");
  EXPECT_THAT(error_of(mixed), HasSubstr("policies[0]: not KIND/NAMESPACE/NAME or KIND/NAME"));
  mixed.clear_policies();
  mixed.add_ingress("NetworkPolicy/b/a");
  EXPECT_THAT(error_of(mixed), HasSubstr("ingress[0]: not KIND/NAMESPACE/NAME/ingress"));

  v1::EgressPolicy policy;
  policy.add_ingress("NetworkPolicy/b/a/ingress");
  policy.add_ingress("NetworkPolicy/b/a/ingress");
  EXPECT_THAT(error_of(policy), HasSubstr("ingress[1]: not in order"));
  policy.mutable_ingress()->RemoveLast();
  v1::NamedPort& port = *policy.add_ports();
  port.set_port(80);
  EXPECT_THAT(error_of(policy), HasSubstr("ports[0]: name: empty"));
  port.set_name(std::string(64, 'x'));
  EXPECT_THAT(error_of(policy), HasSubstr("ports[0]: name: longer than 63 bytes"));
  port.set_name("web");
  port.set_port(65536);
  EXPECT_THAT(error_of(policy), HasSubstr("ports[0]: port: 65536 is no port"));
  port.set_port(0);
  EXPECT_THAT(error_of(policy), HasSubstr("ports[0]: port: 0 is no port"));
  port.set_port(80);
  EXPECT_EQ(error_of(policy), "");
  policy.clear_ingress();
  EXPECT_THAT(error_of(policy), HasSubstr("ports: no rules of ingress name any"));

  v1::EgressPolicy many;
  many.add_ingress("NetworkPolicy/b/a/ingress");
  for (int i = 0; i <= kMaxPortsOfPod; ++i) *many.add_ports() = port;
  EXPECT_THAT(error_of(many), HasSubstr("ports: more than 50000"));
}

TEST(PolicyCodec, APortByNameIsOfIngressAndHasNoNumber) {
  v1::PolicyRules rules;
  v1::PolicyPort& port = *rules.add_rules()->add_ports();
  port.set_name("web");
  EXPECT_EQ(ErrorOf(rules, "NetworkPolicy/default/db/ingress"), "");
  EXPECT_THAT(ErrorOf(rules), HasSubstr("rules[0]: ports[0]: name: not of ingress"));
  port.set_port(80);
  EXPECT_THAT(ErrorOf(rules, "NetworkPolicy/default/db/ingress"),
              HasSubstr("rules[0]: ports[0]: port: 80 beside a name"));
  port.set_port(0);
  port.set_name("a b");
  EXPECT_THAT(ErrorOf(rules, "NetworkPolicy/default/db/ingress"),
              HasSubstr("rules[0]: ports[0]: name: a character that no name has"));
}

TEST(PolicyCodec, BadBlocksAreRefused) {
  const auto error_of = [](const std::string& address, uint32_t prefix) {
    return RuleError([&](v1::PolicyRule& rule) {
      rule.add_blocks()->set_address(address);
      rule.mutable_blocks(0)->set_prefix(prefix);
    });
  };
  EXPECT_EQ(error_of(Bytes("10.0.0.0"), 8), "");
  EXPECT_THAT(error_of("abcde", 8), HasSubstr("blocks[0]: address: 5 bytes are no IP address"));
  EXPECT_THAT(error_of(Bytes("10.0.0.0"), 33), HasSubstr("blocks[0]: prefix: 33 bits"));
  EXPECT_THAT(error_of(Bytes("fd00::"), 129), HasSubstr("blocks[0]: prefix: 129 bits"));
  EXPECT_THAT(error_of(Bytes("10.0.0.1"), 31), HasSubstr("bits beyond the prefix"));
  // One address has one form: what is IPv4 has no prefix of more than 32 bits.
  const std::string mapped = std::string(10, '\0') + "\xff\xff" + Bytes("10.0.0.0");
  EXPECT_THAT(error_of(mapped, 120), HasSubstr("blocks[0]: prefix: 120 bits"));
}

TEST(PolicyCodec, AHoleIsAPartOfItsBlock) {
  const auto error_of = [](const std::string& address, uint32_t prefix) {
    return RuleError([&](v1::PolicyRule& rule) {
      auto* block = rule.add_blocks();
      block->set_address(Bytes("10.0.0.0"));
      block->set_prefix(8);
      block->add_except()->set_address(address);
      block->mutable_except(0)->set_prefix(prefix);
    });
  };
  EXPECT_EQ(error_of(Bytes("10.1.0.0"), 16), "");
  EXPECT_THAT(error_of(Bytes("11.0.0.0"), 16), HasSubstr("except[0]: no part of the block"));
  EXPECT_THAT(error_of(Bytes("0.0.0.0"), 0), HasSubstr("except[0]: no part of the block"));
  EXPECT_THAT(error_of(Bytes("fd00::"), 16), HasSubstr("except[0]: no part of the block"));
}

TEST(PolicyCodec, BadNamesAreRefused) {
  const auto error_of = [](const std::string& name) {
    return RuleError([&](v1::PolicyRule& rule) { rule.add_names(name); });
  };
  for (const char* name : {"a", "*.a", "xn--a.example", "_srv._tcp.example.com", "a-1.b_2"}) {
    EXPECT_EQ(error_of(name), "") << name;
  }
  for (const char* name : {"", "*.", "*", ".", "a.", "a..b", ".a", "*.*.a", "a.*.b", "A.example",
                           "a b", "a\\.b", "b\xc3\xbc", "a*.b"}) {
    EXPECT_THAT(error_of(name), HasSubstr("rules[0]: names[0]: ")) << name;
  }
  EXPECT_EQ(error_of(std::string(63, 'a') + ".b"), "");
  EXPECT_THAT(error_of(std::string(64, 'a') + ".b"), HasSubstr("a label longer than 63 bytes"));
  std::string longest = "a";
  while (longest.size() < 253) longest += ".a";
  EXPECT_EQ(error_of(longest), "");
  EXPECT_THAT(error_of("a" + longest), HasSubstr("no DNS name"));
}

TEST(PolicyCodec, BadPortsAndPeersAreRefused) {
  const auto port_error = [](int protocol, uint32_t port, uint32_t end) {
    return RuleError([&](v1::PolicyRule& rule) {
      rule.add_ports()->set_protocol(static_cast<v1::Protocol>(protocol));
      rule.mutable_ports(0)->set_port(port);
      rule.mutable_ports(0)->set_end_port(end);
    });
  };
  EXPECT_EQ(port_error(v1::UDP, 1, 65535), "");
  EXPECT_EQ(port_error(v1::UDP, 80, 80), "");
  EXPECT_THAT(port_error(17, 80, 0), HasSubstr("ports[0]: protocol: 17 is unknown"));
  EXPECT_THAT(port_error(v1::TCP, 65536, 0), HasSubstr("port: 65536 is no port"));
  EXPECT_THAT(port_error(v1::TCP, 1, 65536), HasSubstr("end_port: 65536 is no port"));
  EXPECT_THAT(port_error(v1::TCP, 80, 79), HasSubstr("end_port: 79 ends no range from 80"));
  EXPECT_THAT(port_error(v1::TCP, 0, 79), HasSubstr("end_port: 79 ends no range from 0"));
  EXPECT_THAT(RuleError([](v1::PolicyRule& rule) { rule.add_peer_sets("x"); }),
              HasSubstr("peer_sets[0]: not 16 hexadecimal digits"));
  EXPECT_THAT(RuleError([](v1::PolicyRule& rule) {
                rule.set_any_peer(true);
                rule.add_names("a");
              }),
              HasSubstr("any_peer: there are other peers"));
}

TEST(PolicyCodec, BadSetsAreRefused) {
  const auto members = [](const std::string& v4, const std::string& v6) {
    return SetError([&](v1::PeerSet& set) {
      set.add_added()->set_v4(v4);
      set.mutable_added(0)->set_v6(v6);
    });
  };
  EXPECT_EQ(members("aaaaaaab", Bytes("fd00::1") + Bytes("fd00::2")), "");
  EXPECT_THAT(members("aaaaaaaa", ""), HasSubstr("added[0]: v4: not in order at byte 4"));
  EXPECT_THAT(members("baaaaaaa", ""), HasSubstr("added[0]: v4: not in order at byte 4"));
  EXPECT_THAT(members("", Bytes("fd00::2") + Bytes("fd00::1")), HasSubstr("v6: not in order"));
  EXPECT_THAT(members("", "abcd"), HasSubstr("v6: 4 bytes are no addresses of 16"));
  EXPECT_THAT(members("", std::string(10, '\0') + "\xff\xff" + Bytes("10.0.0.1")),
              HasSubstr("v6: 10.0.0.1 is not of IPv6"));
  EXPECT_THAT(SetError([](v1::PeerSet& set) { set.add_added()->set_port(65536); }),
              HasSubstr("port: 65536 is no port"));
  EXPECT_THAT(SetError([](v1::PeerSet& set) {
                set.add_added()->set_port(80);
                set.add_added()->set_port(80);
              }),
              HasSubstr("added[1].port: not in order"));
  EXPECT_THAT(SetError([](v1::PeerSet& set) { set.add_removed()->set_v4("abcd"); }),
              HasSubstr("removed: of a whole set"));
  EXPECT_THAT(SetError([](v1::PeerSet& set) { set.set_base(std::string(300, 'v')); }),
              HasSubstr("base: longer than 256 bytes"));
  EXPECT_THAT(SetError([](v1::PeerSet& set) { set.set_describes(std::string(1025, 'v')); }),
              HasSubstr("describes: longer than 1024 bytes"));
}

TEST(PolicyCodec, WhatIsOverTheLimitsIsRefused) {
  v1::PolicyRules rules;
  for (int i = 0; i <= kMaxRulesOfPolicy; ++i) rules.add_rules();
  EXPECT_THAT(ErrorOf(rules), HasSubstr("rules: more than 50000"));

  // Of all rules together.
  v1::PolicyRules ports;
  for (int i = 0; i < 2; ++i) {
    auto* rule = ports.add_rules();
    for (size_t n = 0; n <= kMaxPartsOfPolicy / 2; ++n) rule->add_ports();
  }
  EXPECT_THAT(ErrorOf(ports), HasSubstr("rules[1]: ports: more than 200000 in all rules"));

  EXPECT_THAT(SetError([](v1::PeerSet& set) {
                set.add_added()->set_v4(std::string(4 * (kMaxPeersOfSet + 1), 'a'));
              }),
              HasSubstr("added[0]: more than 500000 peers"));

  v1::EgressPolicy head;
  for (int i = 0; i <= kMaxPoliciesOfPod; ++i) head.add_policies("a/b");
  EXPECT_THAT(Message(ParseEgressPolicy(MakeResource("default/a", "1", head)).status()),
              HasSubstr("policies: more than 10000"));
}

}  // namespace
}  // namespace portolan::api
