// Which rule allows a port: the ports of a list of rules, merged into ranges that are found by one
// binary search, whatever the number of rules.
//
// PortTable and AllowedPorts are immutable: any thread. AllowedPortsMaker: main thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "directory/model.h"
#include "directory/policy_input.h"

namespace portolan {

inline constexpr uint32_t kNoRule = UINT32_MAX;

// Policies in audit are kept apart from those that are enforced.
enum class Side : uint8_t { kEnforced, kAudit };

// Its number is its place among all rules of all policies.
struct NumberedRule {
  const PolicyInput* policy;
  const RuleInput* input;

  Side side() const { return policy->audit ? Side::kAudit : Side::kEnforced; }
};

struct RuleAt {
  uint32_t rule = 0;
  uint16_t port = 0;  // of the rule's ports this one alone; 0: all of them
  friend auto operator<=>(const RuleAt&, const RuleAt&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const RuleAt& at) {
    return H::combine(std::move(h), at.rule, at.port);
  }
};

class PortTable {
 public:
  struct Range {
    uint16_t first;
    uint16_t last;
    uint32_t rule;  // the lowest of those that have these ports
  };

  PortTable() = default;
  PortTable(std::span<const NumberedRule> rules, std::span<const RuleAt> list);

  // The lowest rule that has the port, or kNoRule.
  uint32_t Find(Side side, Protocol protocol, uint16_t port) const;
  // Ascending, none overlaps another.
  std::span<const Range> ranges(Side side, Protocol protocol) const;
  size_t size() const { return ranges_.size(); }

 private:
  static constexpr size_t kProtocols = 2;  // TCP and UDP
  static size_t PlaceOf(Side side, Protocol protocol) {
    return static_cast<size_t>(side) * kProtocols + static_cast<size_t>(protocol);
  }

  std::vector<Range> ranges_;
  std::array<uint32_t, 2 * kProtocols + 1> begins_{};  // in ranges_, by PlaceOf
};

// What a list of rules allows.
class AllowedPorts {
 public:
  uint32_t Find(Side side, Protocol protocol, uint16_t port) const {
    uint32_t rule = merged_.Find(side, protocol, port);
    for (const auto& table : apart_) rule = std::min(rule, table->Find(side, protocol, port));
    return rule;
  }

  // Calls visit(table) for each table that it is made of.
  template <typename F>
  void ForEachTable(F&& visit) const {
    visit(merged_);
    for (const auto& table : apart_) visit(*table);
  }

  bool merged() const { return apart_.empty(); }

 private:
  friend class AllowedPortsMaker;

  PortTable merged_;
  std::vector<std::shared_ptr<const PortTable>> apart_;  // instead, a rule each
  std::shared_ptr<void> room_;
};

// Makes them of the rules of all policies.
class AllowedPortsMaker {
 public:
  // How many merged ranges there may be at a time, of 8 bytes each. Every address may be in other
  // sets, so that they grow with the product of rules and ports. What comes when there is no room
  // is judged rule by rule: right, but slower the more rules an address has.
  struct Room {
    size_t most = 4'000'000;
    std::atomic<size_t> used{0};
  };

  // `rules` outlives it.
  AllowedPortsMaker(std::span<const NumberedRule> rules, std::shared_ptr<Room> room)
      : rules_(rules), room_(std::move(room)) {}

  AllowedPorts Make(std::span<const RuleAt> list);

 private:
  std::span<const NumberedRule> rules_;
  std::shared_ptr<Room> room_;
  absl::flat_hash_map<RuleAt, std::shared_ptr<const PortTable>> alone_;  // for those without room
};

// Makes them once for each list that differs.
class SharedAllowedPorts {
 public:
  explicit SharedAllowedPorts(AllowedPortsMaker& maker) : maker_(maker) {}
  std::shared_ptr<const AllowedPorts> Of(const std::vector<RuleAt>& list);

 private:
  AllowedPortsMaker& maker_;
  absl::flat_hash_map<std::vector<RuleAt>, std::shared_ptr<const AllowedPorts>> made_;
};

}  // namespace portolan
