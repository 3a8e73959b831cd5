#include "policy/block_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace portolan {
namespace {

absl::uint128 Mask(uint8_t bits) { return bits == 0 ? 0 : absl::Uint128Max() << (128 - bits); }

}  // namespace

absl::uint128 BlockTable::Number(const IpAddress& ip) {
  absl::uint128 number = 0;
  const auto bytes = ip.bytes();
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  return number << static_cast<int>(128 - 8 * bytes.size());
}

bool BlockTable::Prefix::Contains(const Prefix& other) const {
  return bits <= other.bits && (other.base & Mask(bits)) == base;
}

absl::uint128 BlockTable::Prefix::last() const { return base | ~Mask(bits); }

BlockTable::BlockTable(std::span<const NumberedRule> rules, SharedAllowedPorts& ports) {
  std::array<std::vector<RulePrefix>, 2> prefixes;
  const auto add = [&](IpFamily family, const Prefix& prefix, uint32_t rule) {
    prefixes[static_cast<size_t>(family)].push_back({prefix, rule});
  };
  const auto prefix_of = [](const Cidr& cidr) {
    return Prefix{Number(cidr.base), cidr.prefix_bits};
  };
  for (uint32_t rule = 0; rule < rules.size(); ++rule) {
    if (rules[rule].input->any_peer) {
      for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) add(family, {0, 0}, rule);
      continue;
    }
    for (const IpBlock& block : rules[rule].input->blocks) {
      std::vector<Prefix> except, rest;
      for (const Cidr& cidr : block.except) {
        if (cidr.base.family() == block.cidr.base.family()) except.push_back(prefix_of(cidr));
      }
      Subtract(prefix_of(block.cidr), except, rest);
      for (const Prefix& prefix : rest) add(block.cidr.base.family(), prefix, rule);
    }
  }
  for (size_t family = 0; family < families_.size(); ++family) {
    families_[family] = Family(std::move(prefixes[family]), rules, ports);
  }
}

void BlockTable::Subtract(const Prefix& block, std::span<const Prefix> except,
                          std::vector<Prefix>& out) {
  std::vector<Prefix> within;
  for (const Prefix& prefix : except) {
    if (prefix.Contains(block)) return;
    if (block.Contains(prefix)) within.push_back(prefix);
  }
  if (within.empty()) {
    out.push_back(block);
    return;
  }
  const uint8_t bits = block.bits + 1;
  Subtract({block.base, bits}, within, out);
  Subtract({block.base | absl::uint128(1) << (128 - bits), bits}, within, out);
}

BlockTable::Family::Family(std::vector<RulePrefix> prefixes, std::span<const NumberedRule> rules,
                           SharedAllowedPorts& ports) {
  // What lies around another comes before it.
  std::sort(prefixes.begin(), prefixes.end(), [](const RulePrefix& a, const RulePrefix& b) {
    return std::tie(a.prefix.base, a.prefix.bits, a.rule) <
           std::tie(b.prefix.base, b.prefix.bits, b.rule);
  });
  for (size_t i = 0; i < prefixes.size();) {
    Open open{prefixes[i].prefix, static_cast<uint32_t>(nodes_.size()), {}, 0, kOutside};
    for (; i < prefixes.size() && prefixes[i].prefix == open.prefix; ++i) {
      const uint32_t rule = prefixes[i].rule;
      if (!open.rules.empty() && open.rules.back().rule == rule) continue;
      open.rules.push_back({rule});
      open.weight += std::max<size_t>(1, rules[rule].input->ports.size());
    }
    LeaveUntil(&open.prefix);
    Enter(std::move(open), ports);
  }
  LeaveUntil(nullptr);
  open_.shrink_to_fit();
}

void BlockTable::Family::Enter(Open open, SharedAllowedPorts& ports) {
  open.next = open_.empty() ? kOutside : open_.size() - 1;
  while (open.next != kOutside && open_[open.next].weight <= kMergedWeight * open.weight) {
    const Open& around = open_[open.next];
    open.rules.insert(open.rules.end(), around.rules.begin(), around.rules.end());
    open.weight += around.weight;
    open.next = around.next;
  }
  std::sort(open.rules.begin(), open.rules.end());
  open.rules.erase(std::unique(open.rules.begin(), open.rules.end()), open.rules.end());
  nodes_.push_back(
      {ports.Of(open.rules), open.next == kOutside ? kOutside : open_[open.next].node});
  Begin(open.prefix.base, open.node);
  open_.push_back(std::move(open));
}

void BlockTable::Family::Begin(absl::uint128 first, uint32_t node) {
  if (!firsts_.empty() && firsts_.back() == first) {
    node_of_.back() = node;
    return;
  }
  firsts_.push_back(first);
  node_of_.push_back(node);
}

void BlockTable::Family::LeaveUntil(const Prefix* next) {
  while (!open_.empty()) {
    const Prefix& innermost = open_.back().prefix;
    if (next != nullptr && innermost.Contains(*next)) return;
    const absl::uint128 last = innermost.last();
    open_.pop_back();
    if (last == absl::Uint128Max()) continue;
    Begin(last + 1, open_.empty() ? kOutside : open_.back().node);
  }
}

}  // namespace portolan
