// Which replies were learned from lately. A name that is asked a thousand times a second gets the
// same reply from the cache each time, or one of a few: what it leads to is looked up once for each
// of these.
//
// A reply stands here by a hash of all that what is learned from it depends on. There is room for
// some thousands, in sets by the question, from which the oldest goes: of a question whose reply
// has four addresses or more, in another order each time, few are found again. A set is a line of
// the processor's cache, and many of them fit there: what is found costs no look into memory, which
// would be most of what a reply with a rule costs.
//
// One per worker, on its thread; allocates nothing but when it is made.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace portolan::proxy {

class RecentReplies {
 public:
  static constexpr size_t kSets = 512, kOfASet = 8;
  static constexpr size_t kMostAddresses = 1023;

  RecentReplies() : sets_(kSets) {}

  // Of a hash of the question, which finds the set and is known before there is a reply: that Find
  // is to be called soon.
  void Prefetch(uint32_t question) const { __builtin_prefetch(&SetOf(question)); }

  // How many addresses are in the reply; 0: it is not known.
  size_t Find(uint32_t question, uint64_t reply) const {
    for (const uint64_t word : SetOf(question)) {
      if (((word ^ reply) & ~kCount) == 0) return word & kCount;
    }
    return 0;
  }

  // REQUIRES: not known, from 1 to kMostAddresses.
  void Add(uint32_t question, uint64_t reply, size_t addresses) {
    Set& set = sets_[question % kSets];
    std::shift_right(set.begin(), set.end(), 1);
    set[0] = (reply & ~kCount) | addresses;
  }

 private:
  // The lowest bits of a word count the addresses.
  static constexpr uint64_t kCount = kMostAddresses;
  static_assert(((kCount + 1) & kCount) == 0);

  struct alignas(64) Set : std::array<uint64_t, kOfASet> {};

  const Set& SetOf(uint32_t question) const { return sets_[question % kSets]; }

  std::vector<Set> sets_;
};

}  // namespace portolan::proxy
