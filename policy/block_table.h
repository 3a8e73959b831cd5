// Which rule allows an address for the block it lies in.
//
// Blocks without their exceptions are prefixes again, and of two prefixes one lies within the other
// or they have nothing in common. So addresses fall into ranges by the innermost prefix around
// them, found by one binary search; from there it goes outwards. Up to 32 prefixes nest around an
// address (IPv6: 128), so that a prefix has the ports of those around it merged into its own, as
// far as these are few beside its own: what is left outside of them is many times as much at each
// step, and there are five or so.
//
// Immutable; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/numeric/int128.h"
#include "common/ip.h"
#include "policy/port_table.h"

namespace portolan {

class BlockTable {
 public:
  BlockTable() = default;
  // Of the rules for anybody and for blocks. An exception costs up to 32 prefixes (IPv6: 128).
  BlockTable(std::span<const NumberedRule> rules, SharedAllowedPorts& ports);

  // The lowest rule that allows it, or kNoRule.
  uint32_t Find(const IpAddress& ip, Side side, Protocol protocol, uint16_t port) const;

  // Calls visit(AllowedPorts) for what the prefixes around the address allow, inner ones first; one
  // call may be for several of them.
  template <typename F>
  void ForEachAround(const IpAddress& ip, F&& visit) const;

 private:
  // Left-aligned: the first bit of an address of either family is the highest.
  struct Prefix {
    absl::uint128 base;
    uint8_t bits;

    friend bool operator==(const Prefix&, const Prefix&) = default;
    bool Contains(const Prefix& other) const;
    absl::uint128 last() const;
  };
  struct RulePrefix {
    Prefix prefix;
    uint32_t rule;
  };
  static constexpr uint32_t kOutside = UINT32_MAX;  // of all prefixes

  // Of one family.
  class Family {
   public:
    Family() = default;
    Family(std::vector<RulePrefix> prefixes, std::span<const NumberedRule> rules,
           SharedAllowedPorts& ports);

    template <typename F>
    void ForEachAround(absl::uint128 address, F&& visit) const;

   private:
    struct Node {
      // Of its prefix and of those around it, up to `next`, where it goes on, or kOutside.
      std::shared_ptr<const AllowedPorts> ports;
      uint32_t next;
    };
    // A prefix around the one at hand.
    struct Open {
      Prefix prefix;
      uint32_t node;
      std::vector<RuleAt> rules;  // of node's ports
      size_t weight;              // of these rules
      size_t next;                // where node's `next` stands among the open ones, or kOutside
    };
    // Where what is around weighs at most so many times as much, it is merged.
    static constexpr size_t kMergedWeight = 8;

    void Begin(absl::uint128 first, uint32_t node);
    void Enter(Open open, SharedAllowedPorts& ports);
    // Out of the prefixes that do not lie around `next`; null: of all.
    void LeaveUntil(const Prefix* next);

    std::vector<Node> nodes_;
    std::vector<Open> open_;  // outermost first; while it is made
    // Ranges of addresses: where each begins, ascending, and the node that it lies in.
    std::vector<absl::uint128> firsts_;
    std::vector<uint32_t> node_of_;
  };

  static absl::uint128 Number(const IpAddress& ip);
  static void Subtract(const Prefix& block, std::span<const Prefix> except,
                       std::vector<Prefix>& out);

  std::array<Family, 2> families_;  // by IpFamily
};

template <typename F>
void BlockTable::Family::ForEachAround(absl::uint128 address, F&& visit) const {
  if (firsts_.empty()) return;
  const auto after = std::upper_bound(firsts_.begin(), firsts_.end(), address);
  if (after == firsts_.begin()) return;
  for (uint32_t at = node_of_[static_cast<size_t>(after - firsts_.begin()) - 1]; at != kOutside;
       at = nodes_[at].next) {
    visit(*nodes_[at].ports);
  }
}

template <typename F>
void BlockTable::ForEachAround(const IpAddress& ip, F&& visit) const {
  families_[static_cast<size_t>(ip.family())].ForEachAround(Number(ip), visit);
}

inline uint32_t BlockTable::Find(const IpAddress& ip, Side side, Protocol protocol,
                                 uint16_t port) const {
  uint32_t rule = kNoRule;
  ForEachAround(ip, [&](const AllowedPorts& ports) {
    rule = std::min(rule, ports.Find(side, protocol, port));
  });
  return rule;
}

}  // namespace portolan
