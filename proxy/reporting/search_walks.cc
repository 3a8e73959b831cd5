#include "proxy/reporting/search_walks.h"

#include <algorithm>

namespace portolan::proxy {
namespace {

constexpr uint32_t kMaxSteps = 0xff;
constexpr uint32_t kTimeMask = 0xffffff;  // 194 days

// What a word says: 32 bits of the hash, 8 of steps, 24 of the time of the last one.
struct Walk {
  uint32_t tag;
  uint32_t steps;
  uint32_t at;

  static Walk Of(uint64_t word) {
    return {static_cast<uint32_t>(word >> 32), static_cast<uint32_t>(word >> 24) & kMaxSteps,
            static_cast<uint32_t>(word) & kTimeMask};
  }
  uint64_t word() const { return uint64_t{tag} << 32 | uint64_t{steps} << 24 | at; }

  bool Is(uint64_t walk, uint32_t now) const {
    return steps > 0 && tag == walk >> 32 && ((now - at) & kTimeMask) <= SearchWalks::kPatience;
  }
};

}  // namespace

void SearchWalks::Step(uint64_t walk, uint32_t now) {
  // Not written again and again, for it is in every processor's cache.
  const uint32_t until = std::max(now, now + kPatience);  // it does not wrap
  if (on_the_way_until_.load(std::memory_order_relaxed) != until) {
    on_the_way_until_.store(until, std::memory_order_relaxed);
  }
  std::atomic<uint64_t>& word = words_[walk % kWalks];
  uint64_t before = word.load(std::memory_order_relaxed);
  Walk next;
  do {
    next = Walk::Of(before);
    if (!next.Is(walk, now)) next = {static_cast<uint32_t>(walk >> 32), 0, 0};
    next.steps = std::min(next.steps + 1, kMaxSteps);
    next.at = now & kTimeMask;
  } while (!word.compare_exchange_weak(before, next.word(), std::memory_order_relaxed));
}

uint32_t SearchWalks::End(uint64_t walk, uint32_t most, uint32_t now) {
  if (!AnyIsOnItsWay(now)) return 0;
  std::atomic<uint64_t>& word = words_[walk % kWalks];
  uint64_t before = word.load(std::memory_order_relaxed);
  Walk next;
  uint32_t steps;
  do {
    next = Walk::Of(before);
    if (!next.Is(walk, now)) return 0;
    // Of several look-ups at once each takes its own.
    steps = std::min(next.steps, most);
    next.steps -= steps;
  } while (!word.compare_exchange_weak(before, next.word(), std::memory_order_relaxed));
  return steps;
}

bool SearchWalks::IsOnItsWay(uint64_t walk, uint32_t now) const {
  return Walk::Of(words_[walk % kWalks].load(std::memory_order_relaxed)).Is(walk, now);
}

}  // namespace portolan::proxy
