// What a pod may reach and resolve: its egress policies, compiled. A verdict takes less than a
// microsecond at 10,000 rules, whatever they have in common (tests/bench/policy).
//
// Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/. A pod is
// isolated if any policy isolates; then a connection is allowed if any rule of any policy has its
// peer and port. Policies in audit neither isolate nor allow: what they would have denied is told
// by `audited`.
//
// Immutable: any thread, no lock. Nothing allocates but Nearest and NearestName. Addresses are
// judged as they are dialled: that Services are judged by their endpoints is the caller's affair
// (egress_gate.h). SCTP is never carried: no rule is kept for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "directory/model.h"
#include "policy/peer_table.h"
#include "policy/policy_table.h"
#include "policy/port_table.h"

namespace portolan {

class EgressRules {
 public:
  static constexpr uint32_t kNone = kNoRule;

  struct Verdict {
    bool allowed = true;
    // Allowed, but no rule has it, and a policy in audit would have denied it.
    bool audited = false;
    // The first rule that allows it, for rule_name. kNone: not isolated, always allowed, or denied.
    uint32_t rule = kNone;
  };

  bool isolates() const;        // some enforced policy does
  bool isolates_names() const;  // some enforced policy does
  bool has_names() const;       // some policy has rules by name, in audit or not
  bool allows_dns() const;      // some enforced policy has rules by name: it implies DNS

  // By address: rules for anybody, peer sets and blocks. Loopback and the addresses that are always
  // allowed are, whatever the rules say.
  Verdict Judge(const SocketAddress& to, Protocol protocol) const;
  // Where the family alone of the address it goes to is known, and not the port: what has all
  // addresses of the family at every port of the protocol alone has that.
  Verdict JudgeUnknown(IpFamily family, Protocol protocol) const;

  // The first rules that have a name, of enforced policies and of those in audit. `wire_name`:
  // uncompressed with the root label, in any case.
  NamePatterns::Rules RulesOf(std::span<const uint8_t> wire_name) const;
  // The same of a name in lower case, for what is done for every question.
  NamePatterns::Rules RulesOfLower(std::span<const uint8_t> lower_name) const;
  // Whether it may be resolved, whatever ports its rules have.
  Verdict JudgeName(const NamePatterns::Rules& rules) const;
  Verdict JudgeName(std::span<const uint8_t> wire_name) const {
    return JudgeName(RulesOf(wire_name));
  }

  // Whether a rule by name lets be reached what the name led to. Allowed means that an enforced
  // rule does, never that the pod is not isolated: to be combined with Judge. A rule while it is
  // not allowed: only a policy in audit has one, so that it is not audited.
  Verdict JudgeLearned(std::span<const uint8_t> wire_name, uint16_t port, Protocol protocol) const;

  // A rule of any policy, in audit or not, has the name: what it leads to is to be learned.
  static bool IsNamed(const NamePatterns::Rules& rules) {
    return rules != NamePatterns::Rules{kNone, kNone};
  }
  bool IsNamed(std::span<const uint8_t> wire_name) const { return IsNamed(RulesOf(wire_name)); }

  struct RuleName {
    std::string_view policy;  // "NetworkPolicy/default/db"; lives as long as the rules
    uint32_t index = 0;       // RuleInput::index, from 0
  };
  // REQUIRES: a rule of a verdict of these rules, not kNone.
  RuleName rule_name(uint32_t rule) const;

  // Names of policies, in the order they were given: enforced ones that isolate, policies in audit
  // that would; the same of names (isolates_names).
  const std::vector<std::string>& isolating() const;
  const std::vector<std::string>& auditing() const;
  const std::vector<std::string>& isolating_names() const;
  const std::vector<std::string>& auditing_names() const;
  // "NetworkPolicy/default/a, DNSEgressPolicy/default/b" for logs and Extended DNS Errors, at most
  // kTextBytes with "..." where names are left out.
  static constexpr size_t kTextBytes = 200;
  std::string_view isolating_text() const;
  std::string_view isolating_names_text() const;
  std::string_view auditing_text() const;
  std::string_view auditing_names_text() const;

  // As they were given, for who shows them.
  const std::vector<PolicyInput>& policies() const;

  struct Size {
    size_t policies = 0;
    size_t rules = 0;  // as PolicyInput counts them
    size_t peers = 0;  // members of sets, each set once
  };
  const Size& size() const;

  // Off the data path, for people: which rule came nearest to what is denied. "rule 2 of
  // NetworkPolicy/default/db allows 10.0.0.1 at TCP 5432, not 5433". Empty: none comes near.
  std::string Nearest(const SocketAddress& to, Protocol protocol) const;
  std::string NearestName(std::span<const uint8_t> wire_name) const;

  // By PolicyCompiler alone.
  EgressRules(std::shared_ptr<const PolicyTable> policies, PeerMap peers, size_t memberships);

 private:
  uint32_t Match(const SocketAddress& to, Protocol protocol, Side side) const;

  std::shared_ptr<const PolicyTable> policies_;
  PeerMap peers_;
  Size size_;
};

}  // namespace portolan
