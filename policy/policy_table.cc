#include "policy/policy_table.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "policy/egress_rules.h"

namespace portolan {
namespace {

std::string Joined(const std::vector<std::string>& names) {
  constexpr std::string_view kBetween = ", ", kMore = "...";
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += kBetween;
    const size_t rest = &name == &names.back() ? 0 : kBetween.size() + kMore.size();
    if (text.size() + name.size() + rest > EgressRules::kTextBytes) {
      // A name that is too long by itself is cut.
      if (text.empty()) text = name.substr(0, EgressRules::kTextBytes - kMore.size());
      return text.append(kMore);
    }
    text += name;
  }
  return text;
}

bool HasEveryAddress(const RuleInput& rule, IpFamily family) {
  return rule.any_peer ||
         std::any_of(rule.blocks.begin(), rule.blocks.end(), [&](const IpBlock& block) {
           return block.cidr.prefix_bits == 0 && block.cidr.base.family() == family &&
                  block.except.empty();
         });
}

bool HasEveryPort(const RuleInput& rule, Protocol protocol) {
  return rule.ports.empty() ||
         std::any_of(rule.ports.begin(), rule.ports.end(), [&](const PortInput& ports) {
           const bool every = ports.port == 0 || (ports.port == 1 && ports.end_port == UINT16_MAX);
           return ports.protocol == protocol && ports.name.empty() && every;
         });
}

}  // namespace

PolicyTable::PolicyTable(std::vector<PolicyInput> policies, std::vector<IpAddress> always_allowed,
                         std::shared_ptr<AllowedPortsMaker::Room> room)
    : policies_(std::move(policies)), always_allowed_(std::move(always_allowed)) {
  std::sort(always_allowed_.begin(), always_allowed_.end());
  to_anywhere_.fill(kNoRule);
  for (const PolicyInput& policy : policies_) {
    const size_t side = static_cast<size_t>(policy.audit ? Side::kAudit : Side::kEnforced);
    if (policy.isolates) isolating_[side].policies.push_back(policy.name);
    if (policy.isolates_names) isolating_names_[side].policies.push_back(policy.name);
    for (const RuleInput& rule : policy.rules) {
      const auto number = static_cast<uint32_t>(rules_.size());
      rules_.push_back({&policy, &rule});
      has_names_[side] |= !rule.names.empty();
      AddAnywhere(number);
      for (const std::string& set : rule.peer_sets) {
        RuleNumbers& rules = rules_of_set_[set];
        if (rules.empty() || rules.back() != number) rules.push_back(number);
      }
    }
  }
  for (auto* of_sides : {&isolating_, &isolating_names_}) {
    for (Isolating& isolating : *of_sides) isolating.text = Joined(isolating.policies);
  }
  AllowedPortsMaker maker(rules_, std::move(room));
  SharedAllowedPorts ports(maker);
  blocks_ = BlockTable(rules_, ports);
  names_ = NamePatterns(rules_, ports);
}

void PolicyTable::AddAnywhere(uint32_t number) {
  const NumberedRule& rule = rules_[number];
  for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    if (!HasEveryAddress(*rule.input, family)) continue;
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      uint32_t& first = to_anywhere_[AnywherePlace(rule.side(), family, protocol)];
      if (HasEveryPort(*rule.input, protocol)) first = std::min(first, number);
    }
  }
}

uint32_t PolicyTable::to_anywhere(Side side, IpFamily family, Protocol protocol) const {
  if (protocol == Protocol::kSctp) return kNoRule;
  return to_anywhere_[AnywherePlace(side, family, protocol)];
}

bool PolicyTable::AlwaysAllowed(const IpAddress& ip) const {
  return ip.is_loopback() || std::binary_search(always_allowed_.begin(), always_allowed_.end(), ip);
}

const RuleNumbers* PolicyTable::RulesOf(const std::string& set) const {
  const auto found = rules_of_set_.find(set);
  return found == rules_of_set_.end() ? nullptr : &found->second;
}

}  // namespace portolan
