#include "xds/policy/shared_sorted.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace portolan::xds {
namespace {

using List = SharedSorted<uint64_t>;

std::vector<uint64_t> AllOf(const List& list) {
  std::vector<uint64_t> all;
  list.ForEach([&](uint64_t value) { all.push_back(value); });
  return all;
}

TEST(SharedSorted, IsWhatAPlainSetIsThroughAnyChanges) {
  std::mt19937 random(8);
  std::set<uint64_t> plain;
  List list;
  for (int step = 0; step < 300; ++step) {
    // Grows at first, then shrinks to nothing.
    const size_t changes = random() % 300;
    std::set<uint64_t> added;
    std::set<uint64_t> removed;
    for (size_t i = 0; i < changes; ++i) {
      const uint64_t value = random() % 20'000;
      const bool adds = step < 150 ? random() % 8 != 0 : random() % 8 == 0;
      if (adds && !plain.contains(value)) added.insert(value);
      if (!adds && !plain.empty()) {
        auto at = plain.lower_bound(value);
        removed.insert(at == plain.end() ? *plain.begin() : *at);
      }
    }
    const List before = list;
    const std::vector<uint64_t> was(plain.begin(), plain.end());
    list = list.Changed(std::vector<uint64_t>(added.begin(), added.end()),
                        std::vector<uint64_t>(removed.begin(), removed.end()));
    for (const uint64_t value : removed) plain.erase(value);
    plain.insert(added.begin(), added.end());
    ASSERT_EQ(AllOf(list), std::vector<uint64_t>(plain.begin(), plain.end()));
    ASSERT_EQ(list.size(), plain.size());
    ASSERT_EQ(AllOf(before), was) << "a version changed";
    for (int i = 0; i < 20; ++i) {
      const uint64_t value = random() % 20'000;
      ASSERT_EQ(list.Contains(value), plain.contains(value));
    }
  }
}

TEST(SharedSorted, MayBecomeEmptyAndBeginAnew) {
  const std::vector<uint64_t> one = {7};
  const List empty = List().Changed(one, {}).Changed({}, one);
  EXPECT_EQ(empty.size(), 0u);
  EXPECT_FALSE(empty.Contains(7));
  EXPECT_EQ(AllOf(empty.Changed(one, {})), one);
}

}  // namespace
}  // namespace portolan::xds
