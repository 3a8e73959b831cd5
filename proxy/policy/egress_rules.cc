#include "proxy/policy/egress_rules.h"

#include <algorithm>
#include <array>

#include "common/status.h"
#include "directory/listing.h"
#include "dns/wire/name.h"
#include "proxy/policy/compiled.h"

namespace portolan::proxy {
namespace {

bool PortMatches(const RuleInput& rule, uint16_t port, Protocol protocol, uint16_t peer_port) {
  if (protocol == Protocol::kSctp || (peer_port != 0 && port != peer_port)) return false;
  if (rule.ports.empty()) return true;
  return std::any_of(rule.ports.begin(), rule.ports.end(), [&](const PortInput& p) {
    return p.protocol == protocol &&
           (p.port == 0 || port == p.port || (port > p.port && port <= p.end_port));
  });
}

bool BlockHas(const IpBlock& block, const IpAddress& ip) {
  return block.cidr.Contains(ip) && std::none_of(block.except.begin(), block.except.end(),
                                                 [&](const Cidr& e) { return e.Contains(ip); });
}

bool NameMatches(const NamePattern& pattern, std::span<const uint8_t> wire_name) {
  const auto wire = dns::wire::NameToWire(pattern.name.empty() ? "." : pattern.name);
  if (!wire.ok() || wire_name.size() > dns::wire::kMaxNameBytes) return false;
  std::array<uint8_t, dns::wire::kMaxNameBytes> lower;
  std::copy(wire_name.begin(), wire_name.end(), lower.begin());
  dns::wire::LowerName(std::span(lower).first(wire_name.size()));
  const std::string_view name(reinterpret_cast<const char*>(lower.data()), wire_name.size());
  if (!pattern.below) return name == *wire;
  for (size_t at = 0; at < name.size() && lower[at] != 0;) {
    at += lower[at] + 1u;
    if (at < name.size() && name.substr(at) == *wire) return true;
  }
  return false;
}

}  // namespace

EgressRules::EgressRules(std::shared_ptr<const Compiled> compiled)
    : compiled_(std::move(compiled)) {}

bool EgressRules::isolates() const { return !compiled_->isolating.empty(); }
bool EgressRules::isolates_names() const { return !compiled_->isolating_names.empty(); }
bool EgressRules::has_names() const { return compiled_->has_names; }
bool EgressRules::allows_dns() const { return compiled_->allows_dns; }
const std::vector<std::string>& EgressRules::isolating() const { return compiled_->isolating; }
const std::vector<std::string>& EgressRules::auditing() const { return compiled_->auditing; }
const std::vector<std::string>& EgressRules::isolating_names() const {
  return compiled_->isolating_names;
}
const std::vector<std::string>& EgressRules::auditing_names() const {
  return compiled_->auditing_names;
}
std::string_view EgressRules::isolating_text() const { return compiled_->isolating_text; }
std::string_view EgressRules::isolating_names_text() const {
  return compiled_->isolating_names_text;
}
const EgressRules::Size& EgressRules::size() const { return compiled_->size; }
EgressRules::RuleName EgressRules::rule_name(uint32_t rule) const {
  return compiled_->rule_names[rule];
}

namespace {

// The first rule of policies in audit, or of the others, that `matches`.
template <typename F>
uint32_t First(const std::vector<PolicyInput>& policies, bool audit, F&& matches) {
  uint32_t id = 0;
  for (const PolicyInput& policy : policies) {
    for (const RuleInput& rule : policy.rules) {
      if (policy.audit == audit && matches(rule)) return id;
      ++id;
    }
  }
  return EgressRules::kNone;
}

template <typename F>
EgressRules::Verdict Decide(const std::vector<PolicyInput>& policies, bool isolates, bool audits,
                            F&& matches) {
  if (!isolates && !audits) return {};
  const uint32_t rule = First(policies, false, matches);
  if (isolates) return {.allowed = rule != EgressRules::kNone, .rule = rule};
  return {.audited =
              rule == EgressRules::kNone && First(policies, true, matches) == EgressRules::kNone};
}

}  // namespace

EgressRules::Verdict EgressRules::Judge(const SocketAddress& to, Protocol protocol) const {
  if (to.ip.is_loopback() || compiled_->always_allowed.contains(to.ip)) return {};
  const auto matches = [&](const RuleInput& rule) {
    const bool address =
        rule.any_peer || std::any_of(rule.blocks.begin(), rule.blocks.end(),
                                     [&](const IpBlock& block) { return BlockHas(block, to.ip); });
    if (address && PortMatches(rule, to.port, protocol, 0)) return true;
    for (const std::string& set : rule.peer_sets) {
      const auto found = compiled_->sets.find(set);
      if (found == compiled_->sets.end()) continue;
      for (const Peer& peer : found->second) {
        if (peer.ip == to.ip && PortMatches(rule, to.port, protocol, peer.port)) return true;
      }
    }
    return false;
  };
  return Decide(compiled_->policies, isolates(), !auditing().empty(), matches);
}

EgressRules::Verdict EgressRules::JudgeName(std::span<const uint8_t> wire_name) const {
  return Decide(
      compiled_->policies, isolates_names(), !auditing_names().empty(), [&](const RuleInput& rule) {
        return std::any_of(rule.names.begin(), rule.names.end(),
                           [&](const auto& name) { return NameMatches(name, wire_name); });
      });
}

EgressRules::Verdict EgressRules::JudgeLearned(std::span<const uint8_t> wire_name, uint16_t port,
                                               Protocol protocol) const {
  const auto matches = [&](const RuleInput& rule) {
    return std::any_of(rule.names.begin(), rule.names.end(),
                       [&](const auto& name) { return NameMatches(name, wire_name); }) &&
           PortMatches(rule, port, protocol, 0);
  };
  const uint32_t rule = First(compiled_->policies, false, matches);
  if (rule != kNone) return {.allowed = true, .rule = rule};
  return {.allowed = false, .rule = First(compiled_->policies, true, matches)};
}

bool EgressRules::IsNamed(std::span<const uint8_t> wire_name) const {
  for (const PolicyInput& policy : compiled_->policies) {
    for (const RuleInput& rule : policy.rules) {
      for (const NamePattern& name : rule.names) {
        if (NameMatches(name, wire_name)) return true;
      }
    }
  }
  return false;
}

std::string EgressRules::Nearest(const SocketAddress& to, Protocol protocol) const {
  for (const PolicyInput& policy : compiled_->policies) {
    for (const RuleInput& rule : policy.rules) {
      const bool has = rule.any_peer ||
                       std::any_of(rule.blocks.begin(), rule.blocks.end(),
                                   [&](const IpBlock& block) { return BlockHas(block, to.ip); });
      if (has && !rule.ports.empty()) {
        return fmt::format("rule {} of {} allows {} at {} {}, not {} {}", rule.index, policy.name,
                           to.ip.ToString(), ProtocolWord(rule.ports[0].protocol),
                           rule.ports[0].port, ProtocolWord(protocol), to.port);
      }
    }
  }
  return {};
}

std::string EgressRules::NearestName(std::span<const uint8_t>) const { return {}; }

}  // namespace portolan::proxy
