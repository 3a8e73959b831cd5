#include "policy/port_table.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

namespace portolan {
namespace {

using Range = PortTable::Range;

constexpr uint16_t kLastPort = UINT16_MAX;

Range RangeOf(const PortInput& ports, uint32_t rule) {
  if (ports.port == 0) return {0, kLastPort, rule};
  return {ports.port, std::max(ports.port, ports.end_port), rule};
}

// What rules have, overlapping, in the order of `first` -> what the lowest of them has.
void Merge(std::span<const Range> sorted, std::vector<Range>& out) {
  // Of those that have the port at hand, the lowest on top.
  const auto higher = [](const Range& a, const Range& b) { return a.rule > b.rule; };
  std::priority_queue<Range, std::vector<Range>, decltype(higher)> open(higher);
  const size_t begin = out.size();
  size_t next = 0;
  for (uint32_t port = 0; next < sorted.size() || !open.empty();) {
    if (open.empty()) port = std::max<uint32_t>(port, sorted[next].first);
    while (next < sorted.size() && sorted[next].first <= port) open.push(sorted[next++]);
    while (!open.empty() && open.top().last < port) open.pop();
    if (open.empty()) continue;
    uint16_t last = open.top().last;
    if (next < sorted.size()) last = std::min<uint16_t>(last, sorted[next].first - 1);
    const uint32_t rule = open.top().rule;
    if (out.size() > begin && out.back().rule == rule && out.back().last + 1u == port) {
      out.back().last = last;
    } else {
      out.push_back({static_cast<uint16_t>(port), last, rule});
    }
    port = last + 1u;
  }
}

}  // namespace

PortTable::PortTable(std::span<const NumberedRule> rules, std::span<const RuleAt> list) {
  std::array<std::vector<Range>, 2 * kProtocols> all;
  for (const RuleAt& at : list) {
    const NumberedRule& rule = rules[at.rule];
    const auto add = [&](Protocol protocol, Range range) {
      if (at.port != 0) {
        if (at.port < range.first || at.port > range.last) return;
        range.first = range.last = at.port;
      }
      all[PlaceOf(rule.side(), protocol)].push_back(range);
    };
    if (rule.input->ports.empty()) {
      for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
        add(protocol, {0, kLastPort, at.rule});
      }
    }
    for (const PortInput& ports : rule.input->ports) {
      if (ports.protocol != Protocol::kSctp) add(ports.protocol, RangeOf(ports, at.rule));
    }
  }
  for (size_t place = 0; place < all.size(); ++place) {
    std::sort(all[place].begin(), all[place].end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    Merge(all[place], ranges_);
    begins_[place + 1] = static_cast<uint32_t>(ranges_.size());
  }
  ranges_.shrink_to_fit();
}

std::span<const Range> PortTable::ranges(Side side, Protocol protocol) const {
  if (protocol == Protocol::kSctp) return {};
  const size_t place = PlaceOf(side, protocol);
  return std::span(ranges_).subspan(begins_[place], begins_[place + 1] - begins_[place]);
}

uint32_t PortTable::Find(Side side, Protocol protocol, uint16_t port) const {
  const auto all = ranges(side, protocol);
  const auto after = std::upper_bound(
      all.begin(), all.end(), port, [](uint16_t p, const Range& range) { return p < range.first; });
  if (after == all.begin() || port > std::prev(after)->last) return kNoRule;
  return std::prev(after)->rule;
}

AllowedPorts AllowedPortsMaker::Make(std::span<const RuleAt> list) {
  AllowedPorts ports;
  PortTable merged(rules_, list);
  const size_t ranges = merged.size();
  if (list.size() <= 1 || room_->used.load(std::memory_order_relaxed) + ranges <= room_->most) {
    room_->used.fetch_add(ranges, std::memory_order_relaxed);
    // Given back with the last version of the rules that has it, on whichever thread.
    ports.room_ = std::shared_ptr<void>(nullptr, [room = room_, ranges](void*) {
      room->used.fetch_sub(ranges, std::memory_order_relaxed);
    });
    ports.merged_ = std::move(merged);
    return ports;
  }
  ports.apart_.reserve(list.size());
  for (const RuleAt& at : list) {
    std::shared_ptr<const PortTable>& alone = alone_[at];
    if (alone == nullptr) {
      alone = std::make_shared<const PortTable>(rules_, std::span<const RuleAt>(&at, 1));
    }
    ports.apart_.push_back(alone);
  }
  return ports;
}

std::shared_ptr<const AllowedPorts> SharedAllowedPorts::Of(const std::vector<RuleAt>& list) {
  std::shared_ptr<const AllowedPorts>& ports = made_[list];
  if (ports == nullptr) ports = std::make_shared<const AllowedPorts>(maker_.Make(list));
  return ports;
}

}  // namespace portolan
