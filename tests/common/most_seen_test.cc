#include "common/most_seen.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/hash/hash.h"

namespace portolan {
namespace {

struct Count {
  uint64_t n = 0;
  void Add(const Count& more) { n += more.n; }
};

template <typename Seen>
class Of {
 public:
  void See(std::string_view key, int times = 1) {
    for (int i = 0; i < times; ++i) {
      ++seen_.See(Bytes(key), absl::HashOf(absl::string_view(key.data(), key.size()))).n;
      ++total_;
    }
  }
  std::map<std::string, uint64_t> Counts() const {
    std::map<std::string, uint64_t> counts;
    seen_.ForEach([&](std::span<const uint8_t> key, const Count& count) {
      counts[std::string(key.begin(), key.end())] = count.n;
    });
    return counts;
  }
  void Age() { seen_.Age(); }
  // Whatever comes is counted somewhere, once.
  bool NothingIsLost() const {
    uint64_t sum = seen_.others().n;
    for (const auto& [key, n] : Counts()) sum += n;
    return sum == total_;
  }
  uint64_t others() const { return seen_.others().n; }

 private:
  static std::span<const uint8_t> Bytes(std::string_view key) {
    return {reinterpret_cast<const uint8_t*>(key.data()), key.size()};
  }

  Seen seen_;
  uint64_t total_ = 0;
};

TEST(MostSeen, FewKeysAreCountedExactly) {
  Of<MostSeen<Count, 16>> seen;
  seen.See("a", 3);
  seen.See("");
  seen.See("b", 2);
  seen.See("a");
  EXPECT_EQ(seen.Counts(), (std::map<std::string, uint64_t>{{"", 1}, {"a", 4}, {"b", 2}}));
  EXPECT_EQ(seen.others(), 0u);
}

TEST(MostSeen, AFloodOfKeysThatComeOnceLeavesTheOthersAlone) {
  Of<MostSeen<Count, 16, 1>> seen;
  for (const char* key : {"a", "b", "c"}) seen.See(key, 10);
  for (int i = 0; i < 10'000; ++i) {
    seen.See(std::to_string(i));
    if (i % 100 == 0) {
      for (const char* key : {"a", "b", "c"}) seen.See(key);
    }
  }
  const auto counts = seen.Counts();
  for (const char* key : {"a", "b", "c"}) EXPECT_EQ(counts.at(key), 110u) << key;
  EXPECT_TRUE(seen.NothingIsLost());
}

TEST(MostSeen, WhatComesNoMoreMakesRoom) {
  using Seen = MostSeen<Count, 16, 1>;
  Of<Seen> seen;
  for (const char* key : {"a", "b", "c", "d"}) seen.See(key, 10'000);
  for (int i = 0; i < 10; ++i) {
    for (const char* key : {"e", "f", "g", "h"}) seen.See(key, 20);
    seen.Age();
  }
  const auto counts = seen.Counts();
  for (const char* key : {"e", "f", "g", "h"}) EXPECT_EQ(counts.count(key), 1u) << key;
  EXPECT_TRUE(seen.NothingIsLost());
}

TEST(MostSeen, AHashOfNothingButZeroesIsOneLikeOthers) {
  MostSeen<Count, 4> seen;
  const uint8_t a[] = {'a'};
  ++seen.See(a, 0).n;
  ++seen.See(a, 0).n;
  size_t keys = 0;
  seen.ForEach([&](std::span<const uint8_t> key, const Count& count) {
    ++keys;
    EXPECT_EQ(key.size(), 1u);
    EXPECT_EQ(count.n, 2u);
  });
  EXPECT_EQ(keys, 1u);
}

TEST(MostSeen, IsBounded) {
  using Seen = MostSeen<Count, 16>;
  Of<Seen> seen;
  for (int i = 0; i < 100'000; ++i) seen.See(std::to_string(i), 1);
  EXPECT_EQ(seen.Counts().size(), 256u);
  EXPECT_TRUE(seen.NothingIsLost());
}

}  // namespace
}  // namespace portolan
