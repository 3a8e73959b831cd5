// Policies, addresses and names for tests, shorter to write.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/ip.h"
#include "directory/policy_input.h"
#include "dns/wire/name.h"
#include "tests/common/at.h"

namespace portolan {

// A name as it is asked.
class Wire {
 public:
  explicit Wire(std::string_view text) : wire_(*dns::wire::NameToWire(text)) {}
  operator std::span<const uint8_t>() const {
    return {reinterpret_cast<const uint8_t*>(wire_.data()), wire_.size()};
  }

 private:
  std::string wire_;
};

inline PortInput Tcp(uint16_t port, uint16_t end_port = 0) {
  return {Protocol::kTcp, port, end_port};
}
inline PortInput Udp(uint16_t port) { return {Protocol::kUdp, port, 0}; }

inline RuleInput ToAnybody(std::vector<PortInput> ports) {
  return {.index = 0,
          .any_peer = true,
          .peer_sets = {},
          .blocks = {},
          .names = {},
          .ports = std::move(ports)};
}
inline RuleInput ToSet(std::string set, std::vector<PortInput> ports) {
  return {.index = 0,
          .any_peer = false,
          .peer_sets = {std::move(set)},
          .blocks = {},
          .names = {},
          .ports = std::move(ports)};
}
inline RuleInput ToBlock(std::string_view block, std::vector<std::string_view> except,
                         std::vector<PortInput> ports) {
  RuleInput rule = ToAnybody(std::move(ports));
  rule.any_peer = false;
  rule.blocks = {{*Cidr::Parse(block), {}}};
  for (const std::string_view e : except) rule.blocks[0].except.push_back(*Cidr::Parse(e));
  return rule;
}
// "*.example.com" and "example.com".
inline RuleInput ToNames(std::vector<std::string> names, std::vector<PortInput> ports) {
  RuleInput rule = ToAnybody(std::move(ports));
  rule.any_peer = false;
  for (std::string& name : names) {
    const bool below = name.starts_with("*.");
    rule.names.push_back({below ? name.substr(2) : name, below});
  }
  return rule;
}

// Isolates by address; rules count from 0.
inline PolicyInput NetworkPolicyOf(std::string name, std::vector<RuleInput> rules) {
  for (size_t i = 0; i < rules.size(); ++i) rules[i].index = static_cast<uint32_t>(i);
  return {.name = "NetworkPolicy/default/" + name,
          .isolates = true,
          .isolates_names = false,
          .audit = false,
          .rules = std::move(rules)};
}
// With defaultDeny: isolates by address and by name.
inline PolicyInput DnsPolicyOf(std::string name, std::vector<RuleInput> rules) {
  PolicyInput policy = NetworkPolicyOf({}, std::move(rules));
  policy.name = "DNSEgressPolicy/default/" + name;
  policy.isolates_names = true;
  return policy;
}
inline PolicyInput InAudit(PolicyInput policy) {
  policy.audit = true;
  return policy;
}

}  // namespace portolan
