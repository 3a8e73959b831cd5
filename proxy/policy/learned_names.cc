#include "proxy/policy/learned_names.h"

#include <algorithm>

namespace portolan::proxy {
uint32_t LearnedNames::Hold(std::span<const uint8_t> name) {
  const uint64_t hash = HashOf(name);
  uint32_t held = kNone;
  const auto hold = [&](uint32_t number) {
    if (!TryHold(number, name)) return false;
    held = number;
    return true;
  };
  if (by_hash_.Visit(hash, hold)) return held;

  const uint32_t number = free_.Take();
  if (number == kNone) return kNone;
  Name& added = names_[number];
  added.size = static_cast<uint8_t>(name.size());
  std::copy(name.begin(), name.end(), added.bytes.begin());
  added.addresses.store(0, std::memory_order_relaxed);
  added.place = FixedIndex::kNowhere;
  added.holders.store(1, std::memory_order_release);
  const uint32_t place = by_hash_.Put(hash, number, hold);
  if (place == FixedIndex::kNowhere) {
    Release(number);
    return held;
  }
  added.place = place;
  return number;
}

bool LearnedNames::TryHold(uint32_t number, std::span<const uint8_t> name) {
  std::atomic<uint32_t>& holders = names_[number].holders;
  uint32_t count = holders.load(std::memory_order_relaxed);
  do {
    if (count == 0) return false;
  } while (!holders.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
  if (std::ranges::equal(bytes(number), name)) return true;
  Release(number);
  return false;
}

void LearnedNames::Release(uint32_t held) {
  Name& name = names_[held];
  if (name.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (name.place != FixedIndex::kNowhere) by_hash_.Remove(name.place);
  free_.Give(held);
}

}  // namespace portolan::proxy
