// Random policies, peers and changes: the compiled rules say what a walk over all rules says.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <random>
#include <set>

#include "dns/wire/name.h"
#include "policy/policy_compiler.h"
#include "tests/policy/walk.h"

namespace portolan {

bool operator==(const EgressRules::Verdict& a, const EgressRules::Verdict& b) {
  return a.allowed == b.allowed && a.audited == b.audited && a.rule == b.rule;
}

std::ostream& operator<<(std::ostream& out, const EgressRules::Verdict& verdict) {
  return out << (verdict.allowed ? "allowed" : "denied") << (verdict.audited ? ", audited" : "")
             << ", rule " << static_cast<int32_t>(verdict.rule);
}

namespace {

// Draws from few addresses, ports and names, so that much overlaps.
class Cluster {
 public:
  explicit Cluster(uint32_t seed) : random_(seed) {}

  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool OneIn(size_t n) { return Below(n) == 0; }

  IpAddress Address() {
    if (OneIn(3)) {
      std::array<uint8_t, 16> bytes{0xfd};
      bytes[Below(16)] |= static_cast<uint8_t>(1u << Below(8));
      bytes[15] = static_cast<uint8_t>(Below(4));
      return IpAddress::V6(bytes);
    }
    const std::array<uint8_t, 4> bytes{
        static_cast<uint8_t>(OneIn(4) ? Below(256) : 10), static_cast<uint8_t>(OneIn(4) ? 255 : 0),
        static_cast<uint8_t>(Below(2)), static_cast<uint8_t>(OneIn(8) ? 255 : Below(6))};
    return IpAddress::V4(bytes);
  }

  Cidr Block(int least_bits = 0) {
    const IpAddress ip = Address();
    const int most = ip.is_v4() ? 32 : 128;
    const int bits = std::min<int>(most, least_bits + static_cast<int>(Below(most + 1)));
    return *Cidr::Parse(ip.ToString() + "/" + std::to_string(bits));
  }

  uint16_t Port() {
    constexpr std::array<uint16_t, 4> kEdges{0, 1, 65534, 65535};
    return OneIn(6) ? kEdges[Below(kEdges.size())] : static_cast<uint16_t>(80 + Below(12));
  }

  Protocol AnyProtocol() {
    constexpr std::array kAll{Protocol::kTcp, Protocol::kTcp, Protocol::kUdp, Protocol::kSctp};
    return kAll[Below(kAll.size())];
  }

  std::string Name() {
    constexpr std::array<std::string_view, 4> kLabels{"a", "B", "api", "example"};
    std::string name;
    for (size_t left = 1 + Below(4); left > 0; --left) {
      if (!name.empty()) name += '.';
      name += kLabels[Below(kLabels.size())];
    }
    return name;
  }

  std::string Set() { return std::string(1, static_cast<char>('a' + Below(8))); }

  Peers Members() {
    std::set<Peer> members;
    for (size_t left = Below(30); left > 0; --left) {
      members.insert({Address(), OneIn(3) ? static_cast<uint16_t>(80 + Below(4)) : uint16_t{0}});
    }
    return {members.begin(), members.end()};
  }

  RuleInput Rule(uint32_t index) {
    RuleInput rule;
    rule.index = index;
    rule.any_peer = OneIn(12);
    for (size_t left = Below(3); left > 0; --left) rule.peer_sets.push_back(Set());
    for (size_t left = Below(3); left > 0; --left) {
      IpBlock block{Block(), {}};
      for (size_t excepts = Below(4); excepts > 0; --excepts) block.except.push_back(Block(6));
      rule.blocks.push_back(std::move(block));
    }
    for (size_t left = OneIn(2) ? Below(3) : 0; left > 0; --left) {
      std::string name = Name();
      std::transform(name.begin(), name.end(), name.begin(), ::tolower);
      rule.names.push_back({std::move(name), OneIn(2)});
    }
    for (size_t left = OneIn(5) ? 0 : 1 + Below(3); left > 0; --left) {
      PortInput ports{AnyProtocol(), Port(), 0};
      if (ports.port != 0 && OneIn(3)) {
        ports.end_port = static_cast<uint16_t>(std::min<size_t>(65535, ports.port + Below(5)));
      }
      rule.ports.push_back(ports);
    }
    return rule;
  }

  std::vector<PolicyInput> Policies() {
    std::vector<PolicyInput> policies(Below(5));
    const bool none_enforced = OneIn(3);
    for (size_t i = 0; i < policies.size(); ++i) {
      policies[i] = {.name = "NetworkPolicy/default/" + std::to_string(i),
                     .isolates = !OneIn(3),
                     .isolates_names = !OneIn(3),
                     .audit = none_enforced || OneIn(3),
                     .rules = {}};
      for (size_t left = Below(8); left > 0; --left) {
        policies[i].rules.push_back(Rule(static_cast<uint32_t>(policies[i].rules.size())));
      }
    }
    return policies;
  }

 private:
  std::mt19937 random_;
};

void Compare(const EgressRules& rules, const Walk& walk, Cluster& cluster, int questions) {
  for (int i = 0; i < questions; ++i) {
    const SocketAddress to{cluster.Address(), cluster.Port()};
    const Protocol protocol = cluster.AnyProtocol();
    ASSERT_EQ(rules.Judge(to, protocol), walk.Judge(to, protocol))
        << to.ToString() << " protocol " << static_cast<int>(protocol);
    const std::string name = cluster.Name();
    const std::string text = *dns::wire::NameToWire(name);
    const std::span wire(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    ASSERT_EQ(rules.JudgeName(wire), walk.JudgeName(name)) << name;
    ASSERT_EQ(rules.JudgeLearned(wire, to.port, protocol),
              walk.JudgeLearned(name, to.port, protocol))
        << name << " port " << to.port << " protocol " << static_cast<int>(protocol);
    ASSERT_EQ(rules.IsNamed(wire), walk.IsNamed(name)) << name;
    // What is near is for people, but it must not fail.
    if (i == 0) rules.Nearest(to, protocol).append(rules.NearestName(wire));
  }
  size_t members = 0;
  for (const auto& [set, peers] : walk.sets) members += peers.size();
  ASSERT_EQ(rules.size().peers, members);
}

void ChangeSomething(Cluster& cluster, PolicyCompiler& compiler, Walk& walk) {
  const std::string set = cluster.Set();
  const Peers peers = cluster.Members();
  switch (cluster.Below(6)) {
    case 0:
      walk.policies = cluster.Policies();
      walk.always_allowed = {cluster.Address(), cluster.Address()};
      compiler.SetPolicies(walk.policies, walk.always_allowed);
      return;
    case 1:
      compiler.SetPeers(set, peers);
      walk.sets[set] = {peers.begin(), peers.end()};
      return;
    case 2:
      compiler.ForgetPeers(set);
      walk.sets.erase(set);
      return;
    default:
      const Peers removed = cluster.Members();
      compiler.ChangePeers(set, peers, removed);
      for (const Peer& peer : removed) walk.sets[set].erase(peer);
      walk.sets[set].insert(peers.begin(), peers.end());
  }
}

// One cluster that changes again and again; versions from before stay as they were.
void CompareAsTheyChange(uint32_t seed, size_t most_merged_ranges) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", room for " << most_merged_ranges);
  Cluster cluster(seed);
  PolicyCompiler compiler(most_merged_ranges);
  Walk walk;
  std::shared_ptr<const EgressRules> before;
  Walk walk_before;
  for (int version = 0; version < 20; ++version) {
    for (size_t left = 1 + cluster.Below(4); left > 0; --left) {
      ChangeSomething(cluster, compiler, walk);
    }
    const auto rules = compiler.Commit();
    ASSERT_NO_FATAL_FAILURE(Compare(*rules, walk, cluster, 60));
    if (before != nullptr) {
      ASSERT_NO_FATAL_FAILURE(Compare(*before, walk_before, cluster, 10));
    }
    if (version % 3 == 0) {
      before = rules;
      walk_before = walk;
    }
  }
}

TEST(EgressRulesAgainstAWalk, RandomPoliciesAreJudgedAlike) {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CompareAsTheyChange(seed, AllowedPortsMaker::Room().most));
  }
}

TEST(EgressRulesAgainstAWalk, AndAlsoWhereThereIsNoRoomToMergePorts) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CompareAsTheyChange(seed, 0));
    ASSERT_NO_FATAL_FAILURE(CompareAsTheyChange(seed, 40));
  }
}

}  // namespace
}  // namespace portolan
