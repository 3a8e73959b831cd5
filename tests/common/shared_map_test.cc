#include "common/shared_map.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "common/string_map.h"

namespace portolan {
namespace {

using Map = SharedMap<std::string, int, StringHash, std::equal_to<>>;

Map With(const Map& from, std::string_view key, int value) {
  Map::Edit edit(from);
  edit.Set(std::string(key), value);
  return std::move(edit).Finish();
}

TEST(SharedMap, AnEarlierVersionNeverChanges) {
  const Map empty;
  const Map one = With(empty, "a", 1);
  const Map two = With(one, "a", 2);
  EXPECT_EQ(empty.Find(std::string_view("a")), nullptr);
  EXPECT_EQ(*one.Find(std::string_view("a")), 1);
  EXPECT_EQ(*two.Find(std::string_view("a")), 2);
  EXPECT_EQ(one.size(), 1u);
  EXPECT_EQ(two.size(), 1u);
}

TEST(SharedMap, AnEditSeesItsOwnChanges) {
  const Map base = With(Map(), "a", 1);
  Map::Edit edit(base);
  EXPECT_TRUE(edit.Erase(std::string_view("a")));
  EXPECT_FALSE(edit.Erase(std::string_view("a")));
  EXPECT_EQ(edit.Find(std::string_view("a")), nullptr);
  edit.Set("b", 2);
  const Map next = std::move(edit).Finish();
  EXPECT_EQ(next.size(), 1u);
  EXPECT_EQ(*next.Find(std::string_view("b")), 2);
  EXPECT_EQ(*base.Find(std::string_view("a")), 1);
}

TEST(SharedMap, HoldsManyAndSharesWhatDidNotChange) {
  Map::Edit edit{Map()};
  for (int i = 0; i < 20000; ++i) edit.Set(std::to_string(i), i);
  const Map base = std::move(edit).Finish();
  const Map next = With(base, "7", -7);
  EXPECT_EQ(base.size(), 20000u);
  size_t shared = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_EQ(*base.Find(key), i);
    shared += base.Find(key) == next.Find(key) ? 1 : 0;
  }
  // One shard of 256 was copied: some eighty entries.
  EXPECT_GT(shared, 19700u);
  size_t seen = 0;
  next.ForEach([&](const std::string&, int) { ++seen; });
  EXPECT_EQ(seen, 20000u);
}

TEST(SharedMap, ACursorGoesThroughOneVersionWhateverBecomesOfTheMap) {
  SharedMap<int, int> map;
  SharedMap<int, int>::Edit edit(map);
  for (int i = 0; i < 5000; ++i) edit.Set(i, -i);
  map = std::move(edit).Finish();
  SharedMap<int, int>::Cursor cursor(map);
  map = {};
  std::set<int> seen;
  while (const auto* entry = cursor.Next()) {
    EXPECT_EQ(entry->second, -entry->first);
    EXPECT_TRUE(seen.insert(entry->first).second);
  }
  EXPECT_EQ(seen.size(), 5000u);
  EXPECT_EQ(cursor.Next(), nullptr);
}

using Numbered = std::pair<int, std::string>;

int NumberOf(int number) { return number; }
int NumberOf(const Numbered& value) { return value.first; }

struct NumberHash {
  using is_transparent = void;
  template <typename T>
  size_t operator()(const T& of) const {
    return absl::HashOf(NumberOf(of));
  }
};
struct NumberEq {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return NumberOf(a) == NumberOf(b);
  }
};

TEST(SharedSet, AValueTakesThePlaceOfOneWithItsKey) {
  using Set = SharedSet<Numbered, NumberHash, NumberEq>;
  Set::Edit first{Set()};
  first.Set({1, "one"});
  first.Set({2, "two"});
  const Set base = std::move(first).Finish();
  Set::Edit second(base);
  second.Set({1, "one more"});
  EXPECT_TRUE(second.Erase(2));
  const Set next = std::move(second).Finish();
  EXPECT_EQ(next.Find(1)->second, "one more");
  EXPECT_EQ(next.size(), 1u);
  EXPECT_EQ(base.Find(1)->second, "one");
  EXPECT_EQ(base.size(), 2u);
}

}  // namespace
}  // namespace portolan
