// The first of a list by how often each came: what a report has room for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace portolan::proxy {

// By `times(counts)`, and those alike by name, so that two reports of the same are the same.
// Returns those that are left out.
template <typename Counts, typename F>
std::vector<std::pair<std::string, Counts>> KeepBusiest(
    std::vector<std::pair<std::string, Counts>>& all, size_t most, F&& times) {
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) {
    const uint64_t times_a = times(a.second), times_b = times(b.second);
    return times_a != times_b ? times_a > times_b : a.first < b.first;
  });
  if (all.size() <= most) return {};
  std::vector<std::pair<std::string, Counts>> rest(all.begin() + static_cast<ptrdiff_t>(most),
                                                   all.end());
  all.resize(most);
  return rest;
}

}  // namespace portolan::proxy
