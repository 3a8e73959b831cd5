// All policies of a pod, compiled, but for the members of peer sets, which change more often
// (peer_table.h).
//
// Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/string_map.h"
#include "directory/policy_input.h"
#include "policy/block_table.h"
#include "policy/name_patterns.h"
#include "policy/port_table.h"

namespace portolan {

// Its numbers stand for places in `rules`.
using RuleNumbers = std::vector<uint32_t>;

class PolicyTable {
 public:
  // Names of policies, in the order they were given.
  struct Isolating {
    std::vector<std::string> policies;
    std::string text;
  };

  PolicyTable(std::vector<PolicyInput> policies, std::vector<IpAddress> always_allowed,
              std::shared_ptr<AllowedPortsMaker::Room> room);
  PolicyTable(const PolicyTable&) = delete;
  PolicyTable& operator=(const PolicyTable&) = delete;

  const std::vector<PolicyInput>& policies() const { return policies_; }
  const std::vector<NumberedRule>& rules() const { return rules_; }
  const Isolating& isolating(Side side) const { return isolating_[static_cast<size_t>(side)]; }
  const Isolating& isolating_names(Side side) const {
    return isolating_names_[static_cast<size_t>(side)];
  }
  bool has_names(Side side) const { return has_names_[static_cast<size_t>(side)]; }
  // The first rule that has all addresses of the family at every port, or kNoRule.
  uint32_t to_anywhere(Side side, IpFamily family, Protocol protocol) const;
  bool AlwaysAllowed(const IpAddress& ip) const;
  const BlockTable& blocks() const { return blocks_; }
  const NamePatterns& names() const { return names_; }

  // Rules that refer to the peer set, ascending; null: none.
  const RuleNumbers* RulesOf(const std::string& set) const;

 private:
  // REQUIRES: not SCTP.
  static size_t AnywherePlace(Side side, IpFamily family, Protocol protocol) {
    return static_cast<size_t>(side) * 4 + static_cast<size_t>(family) * 2 +
           static_cast<size_t>(protocol);
  }
  void AddAnywhere(uint32_t number);

  const std::vector<PolicyInput> policies_;
  std::vector<IpAddress> always_allowed_;  // sorted
  std::vector<NumberedRule> rules_;
  std::array<Isolating, 2> isolating_, isolating_names_;  // by Side
  std::array<bool, 2> has_names_{};
  std::array<uint32_t, 8> to_anywhere_;  // by AnywherePlace
  StringMap<RuleNumbers> rules_of_set_;
  BlockTable blocks_;
  NamePatterns names_;
};

}  // namespace portolan
