// Which rule allows an address for the block it lies in.
//
// Blocks without their exceptions are prefixes again, and of two prefixes one lies within the other
// or they have nothing in common. So addresses fall into ranges by the innermost prefix around
// them, found by one binary search; from there it is at most 32 steps outwards (IPv6: 128), one for
// each prefix around it that a rule names.
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
#include "proxy/policy/port_table.h"

namespace portolan::proxy {

class BlockTable {
 public:
  BlockTable() = default;
  // Of the rules for anybody and for blocks. An exception costs up to 32 prefixes (IPv6: 128).
  BlockTable(std::span<const NumberedRule> rules, SharedAllowedPorts& ports);

  // The lowest rule that allows it, or kNoRule.
  uint32_t Find(const IpAddress& ip, Side side, Protocol protocol, uint16_t port) const;

  // Calls visit(AllowedPorts) for each prefix around the address, innermost first.
  template <typename F>
  void ForEachAround(const IpAddress& ip, F&& visit) const;

 private:
  // Left-aligned: the first bit of an address of either family is the highest.
  struct Prefix {
    absl::uint128 base;
    uint8_t bits;

    bool Contains(const Prefix& other) const;
    absl::uint128 last() const;
  };
  struct RulePrefix {
    Prefix prefix;
    uint32_t rule;
  };
  static constexpr uint32_t kOutside = UINT32_MAX;

  // Of one family.
  class Family {
   public:
    Family() = default;
    Family(std::vector<RulePrefix> prefixes, SharedAllowedPorts& ports);

    template <typename F>
    void ForEachAround(absl::uint128 address, F&& visit) const;

   private:
    struct Node {
      Prefix prefix;
      uint32_t around;  // the node of the next prefix outwards, or kOutside
      std::shared_ptr<const AllowedPorts> ports;
    };

    void Begin(absl::uint128 first, uint32_t node);
    // Out of the prefixes that do not lie around `next`; null: of all.
    void LeaveUntil(const Prefix* next, std::vector<uint32_t>& inside);

    std::vector<Node> nodes_;
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
       at = nodes_[at].around) {
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

}  // namespace portolan::proxy
