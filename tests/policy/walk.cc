#include "tests/policy/walk.h"

#include <algorithm>
#include <functional>

#include "common/text.h"

namespace portolan {
namespace {

using Matches = std::function<bool(const RuleInput&)>;
using Verdict = EgressRules::Verdict;

bool HasPort(const RuleInput& rule, uint16_t port, Protocol protocol) {
  if (protocol == Protocol::kSctp) return false;
  if (rule.ports.empty()) return true;
  for (const PortInput& p : rule.ports) {
    if (p.protocol != protocol) continue;
    if (p.port == 0 || p.port == port) return true;
    if (p.end_port != 0 && port >= p.port && port <= p.end_port) return true;
  }
  return false;
}

bool HasBlock(const RuleInput& rule, const IpAddress& ip) {
  for (const IpBlock& block : rule.blocks) {
    bool has = block.cidr.Contains(ip);
    for (const Cidr& except : block.except) has &= !except.Contains(ip);
    if (has) return true;
  }
  return false;
}

bool HasName(const RuleInput& rule, const std::string& any_case) {
  const std::string name = Lower(any_case);
  for (const NamePattern& pattern : rule.names) {
    if (!pattern.below && name == pattern.name) return true;
    const std::string end = "." + pattern.name;
    if (pattern.below && name.size() > end.size() && name.ends_with(end)) return true;
  }
  return false;
}

uint32_t First(const std::vector<PolicyInput>& policies, bool audit, const Matches& matches) {
  uint32_t number = 0;
  for (const PolicyInput& policy : policies) {
    for (const RuleInput& rule : policy.rules) {
      if (policy.audit == audit && matches(rule)) return number;
      ++number;
    }
  }
  return EgressRules::kNone;
}

Verdict Decide(const std::vector<PolicyInput>& policies, bool PolicyInput::*isolates,
               const Matches& matches) {
  const auto any = [&](bool audit) {
    return std::any_of(policies.begin(), policies.end(), [&](const PolicyInput& policy) {
      return policy.*isolates && policy.audit == audit;
    });
  };
  const uint32_t allowing = First(policies, false, matches);
  if (any(false)) return {.allowed = allowing != EgressRules::kNone, .rule = allowing};
  const bool has_rule =
      allowing != EgressRules::kNone || First(policies, true, matches) != EgressRules::kNone;
  return {.audited = any(true) && !has_rule};
}

}  // namespace

Verdict Walk::Judge(const SocketAddress& to, Protocol protocol) const {
  const bool always = std::count(always_allowed.begin(), always_allowed.end(), to.ip) > 0;
  if (always || to.ip.is_loopback()) return {};
  return Decide(policies, &PolicyInput::isolates, [&](const RuleInput& rule) {
    if (!HasPort(rule, to.port, protocol)) return false;
    if (rule.any_peer || HasBlock(rule, to.ip)) return true;
    for (const std::string& name : rule.peer_sets) {
      const auto set = sets.find(name);
      if (set == sets.end()) continue;
      if (set->second.contains({to.ip, 0}) || set->second.contains({to.ip, to.port})) return true;
    }
    return false;
  });
}

Verdict Walk::JudgeName(const std::string& name) const {
  return Decide(policies, &PolicyInput::isolates_names,
                [&](const RuleInput& rule) { return HasName(rule, name); });
}

Verdict Walk::JudgeLearned(const std::string& name, uint16_t port, Protocol protocol) const {
  const auto matches = [&](const RuleInput& rule) {
    return HasName(rule, name) && HasPort(rule, port, protocol);
  };
  const uint32_t rule = First(policies, false, matches);
  if (rule != EgressRules::kNone) return {.allowed = true, .rule = rule};
  return {.allowed = false, .rule = First(policies, true, matches)};
}

bool Walk::IsNamed(const std::string& name) const {
  const auto matches = [&](const RuleInput& rule) { return HasName(rule, name); };
  return First(policies, false, matches) != EgressRules::kNone ||
         First(policies, true, matches) != EgressRules::kNone;
}

}  // namespace portolan
