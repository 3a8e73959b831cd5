#include "injector/cluster/merged_ranges.h"

#include <algorithm>
#include <bit>

namespace portolan::injector {
namespace {

int WidestPrefix(const Cidr& range) { return range.base.is_v4() ? 8 : 24; }

// How many leading bits two addresses of one family have in common.
int CommonBits(const IpAddress& a, const IpAddress& b) {
  const auto left = a.bytes(), right = b.bytes();
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i] == right[i]) continue;
    return static_cast<int>(i * 8) + std::countl_zero(static_cast<uint8_t>(left[i] ^ right[i]));
  }
  return static_cast<int>(left.size() * 8);
}

bool SameFamily(const Cidr& a, const Cidr& b) { return a.base.family() == b.base.family(); }

// The smallest range that holds both; of one family.
Cidr Around(const Cidr& a, const Cidr& b) {
  const int bits = std::min({CommonBits(a.base, b.base), int{a.prefix_bits}, int{b.prefix_bits}});
  std::array<uint8_t, 16> bytes{};
  const auto from = a.base.bytes();
  for (int bit = 0; bit < bits; ++bit) bytes[bit / 8] |= from[bit / 8] & (0x80 >> bit % 8);
  const IpAddress base = a.base.is_v4() ? IpAddress::V4(std::span(bytes).first<4>())
                                        : IpAddress::V6(std::span(bytes).first<16>());
  return {base, static_cast<uint8_t>(bits)};
}

// The two halves of one range.
bool AreHalves(const Cidr& a, const Cidr& b) {
  return SameFamily(a, b) && a.prefix_bits == b.prefix_bits && a.prefix_bits > 0 &&
         Around(a, b).prefix_bits == a.prefix_bits - 1;
}

// Sorted; nothing in it is or touches the other half of another.
std::vector<Cidr> Joined(std::vector<Cidr> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<Cidr> joined;
  for (const Cidr& range : ranges) {
    if (!joined.empty() && SameFamily(joined.back(), range) &&
        joined.back().prefix_bits <= range.prefix_bits && joined.back().Contains(range.base)) {
      continue;
    }
    joined.push_back(range);
    while (joined.size() > 1 && AreHalves(joined[joined.size() - 2], joined.back())) {
      const Cidr both = Around(joined[joined.size() - 2], joined.back());
      joined.pop_back();
      joined.back() = both;
    }
  }
  return joined;
}

size_t CountOf(const std::vector<Cidr>& ranges, IpFamily family) {
  return static_cast<size_t>(std::count_if(
      ranges.begin(), ranges.end(), [&](const Cidr& c) { return c.base.family() == family; }));
}

// Joins the two neighbours that have most in common. False: none may be.
bool JoinClosest(std::vector<Cidr>& ranges, IpFamily family) {
  size_t closest = ranges.size();
  int bits = -1;
  for (size_t i = 0; i + 1 < ranges.size(); ++i) {
    if (ranges[i].base.family() != family || !SameFamily(ranges[i], ranges[i + 1])) continue;
    const Cidr both = Around(ranges[i], ranges[i + 1]);
    if (both.prefix_bits < WidestPrefix(both) || both.prefix_bits <= bits) continue;
    closest = i;
    bits = both.prefix_bits;
  }
  if (closest == ranges.size()) return false;
  ranges[closest] = Around(ranges[closest], ranges[closest + 1]);
  ranges = Joined(std::move(ranges));
  return true;
}

}  // namespace

std::vector<Cidr> MergedRanges(std::vector<Cidr> ranges, size_t most) {
  ranges = Joined(std::move(ranges));
  for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    while (CountOf(ranges, family) > most && JoinClosest(ranges, family)) {
    }
  }
  return ranges;
}

}  // namespace portolan::injector
