#include "policy/egress_rules.h"

#include <algorithm>
#include <utility>

#include "policy/nearest.h"

namespace portolan {
namespace {

// What follows from the first rule that matches, of enforced policies and of those in audit.
template <typename Match>
EgressRules::Verdict Decide(const PolicyTable::Isolating& enforced,
                            const PolicyTable::Isolating& audit, Match&& match) {
  const bool isolates = !enforced.policies.empty();
  if (!isolates && audit.policies.empty()) return {};
  const uint32_t rule = match(Side::kEnforced);
  if (isolates) return {.allowed = rule != kNoRule, .rule = rule};
  return {.audited = rule == kNoRule && match(Side::kAudit) == kNoRule};
}

}  // namespace

EgressRules::EgressRules(std::shared_ptr<const PolicyTable> policies, PeerMap peers,
                         size_t memberships)
    : policies_(std::move(policies)),
      peers_(std::move(peers)),
      size_{policies_->policies().size(), policies_->rules().size(), memberships} {}

bool EgressRules::isolates() const { return !isolating().empty(); }
bool EgressRules::isolates_names() const { return !isolating_names().empty(); }

bool EgressRules::has_names() const {
  return policies_->has_names(Side::kEnforced) || policies_->has_names(Side::kAudit);
}

bool EgressRules::allows_dns() const { return policies_->has_names(Side::kEnforced); }

const std::vector<std::string>& EgressRules::isolating() const {
  return policies_->isolating(Side::kEnforced).policies;
}

const std::vector<std::string>& EgressRules::auditing() const {
  return policies_->isolating(Side::kAudit).policies;
}

const std::vector<std::string>& EgressRules::isolating_names() const {
  return policies_->isolating_names(Side::kEnforced).policies;
}

const std::vector<std::string>& EgressRules::auditing_names() const {
  return policies_->isolating_names(Side::kAudit).policies;
}

std::string_view EgressRules::isolating_text() const {
  return policies_->isolating(Side::kEnforced).text;
}

std::string_view EgressRules::isolating_names_text() const {
  return policies_->isolating_names(Side::kEnforced).text;
}

std::string_view EgressRules::auditing_text() const {
  return policies_->isolating(Side::kAudit).text;
}

std::string_view EgressRules::auditing_names_text() const {
  return policies_->isolating_names(Side::kAudit).text;
}

const EgressRules::Size& EgressRules::size() const { return size_; }

const std::vector<PolicyInput>& EgressRules::policies() const { return policies_->policies(); }

uint32_t EgressRules::Match(const SocketAddress& to, Protocol protocol, Side side) const {
  const uint32_t by_block = policies_->blocks().Find(to.ip, side, protocol, to.port);
  const auto* peer = peers_.Find(to.ip);
  if (peer == nullptr) return by_block;
  return std::min(by_block, (*peer)->ports.Find(side, protocol, to.port));
}

EgressRules::Verdict EgressRules::Judge(const SocketAddress& to, Protocol protocol) const {
  if (policies_->AlwaysAllowed(to.ip)) return {};
  return Decide(policies_->isolating(Side::kEnforced), policies_->isolating(Side::kAudit),
                [&](Side side) { return Match(to, protocol, side); });
}

EgressRules::Verdict EgressRules::JudgeUnknown(IpFamily family, Protocol protocol) const {
  return Decide(policies_->isolating(Side::kEnforced), policies_->isolating(Side::kAudit),
                [&](Side side) { return policies_->to_anywhere(side, family, protocol); });
}

NamePatterns::Rules EgressRules::RulesOf(std::span<const uint8_t> wire_name) const {
  return policies_->names().Find(wire_name);
}

NamePatterns::Rules EgressRules::RulesOfLower(std::span<const uint8_t> lower_name) const {
  return policies_->names().FindLower(lower_name);
}

EgressRules::Verdict EgressRules::JudgeName(const NamePatterns::Rules& rules) const {
  return Decide(policies_->isolating_names(Side::kEnforced),
                policies_->isolating_names(Side::kAudit),
                [&](Side side) { return rules[static_cast<size_t>(side)]; });
}

EgressRules::Verdict EgressRules::JudgeLearned(std::span<const uint8_t> wire_name, uint16_t port,
                                               Protocol protocol) const {
  const auto find = [&](Side side) {
    return policies_->names().Find(wire_name, side, protocol, port);
  };
  const uint32_t rule = find(Side::kEnforced);
  if (rule != kNone) return {.allowed = true, .rule = rule};
  return {.allowed = false, .rule = find(Side::kAudit)};
}

EgressRules::RuleName EgressRules::rule_name(uint32_t rule) const {
  const NumberedRule& numbered = policies_->rules()[rule];
  return {numbered.policy->name, numbered.input->index};
}

std::string EgressRules::Nearest(const SocketAddress& to, Protocol protocol) const {
  const auto* peer = peers_.Find(to.ip);
  return NearestRule(*policies_, peer == nullptr ? nullptr : &(*peer)->ports, to, protocol);
}

std::string EgressRules::NearestName(std::span<const uint8_t> wire_name) const {
  return NearestNamedRule(*policies_, wire_name);
}

}  // namespace portolan
