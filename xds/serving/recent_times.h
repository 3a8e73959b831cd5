// How long the last things took, for a median and a worst: a ring of 136 bytes, of which there is
// one for each client and type that had a change, so some 6 MB for 15,000 clients of three types.
//
// A time is kept as its logarithm, to 0.04 %. One thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace portolan::xds {

class RecentTimes {
 public:
  static constexpr size_t kMost = 64;

  // From 1 us to an hour; what is beyond is taken for that.
  void Add(absl::Duration took) {
    const double us = std::clamp(absl::ToDoubleMicroseconds(took), 1.0, 3.6e9);
    ring_[added_ % kMost] = static_cast<uint16_t>(std::lround(std::log2(us) * kSteps));
    ++added_;
  }

  size_t size() const { return std::min<size_t>(added_, kMost); }

  // The smallest that `share` of them are no longer than; zero where there is none.
  absl::Duration Quantile(double share) const {
    if (added_ == 0) return absl::ZeroDuration();
    std::array<uint16_t, kMost> sorted = ring_;
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(size())));
    const auto nth = sorted.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
    std::nth_element(sorted.begin(), nth, sorted.begin() + static_cast<ptrdiff_t>(size()));
    return absl::Microseconds(std::exp2(*nth / kSteps));
  }

 private:
  // Of a doubling: an hour is 31.7 of them.
  static constexpr double kSteps = 2048;

  std::array<uint16_t, kMost> ring_{};
  uint64_t added_ = 0;
};

}  // namespace portolan::xds
