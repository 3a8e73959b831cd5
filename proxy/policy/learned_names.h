// Names that several threads hold on to, each kept once: a fixed pool, without a lock and without
// an allocation. Any thread, all methods.
//
// A name is there as long as it has holders, and its bytes do not change meanwhile: who holds it
// reads them as they are. Whoever lets go last frees its place, and only then is that written
// again. Two threads that bring a new name in the same moment may, if a third frees a place in the
// index between them, keep it twice: either has a name of the right bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/string_map.h"
#include "dns/wire/query.h"
#include "proxy/policy/fixed_index.h"

namespace portolan::proxy {

class LearnedNames {
 public:
  static constexpr uint32_t kNone = FreeNumbers::kNone;

  explicit LearnedNames(uint32_t most) : by_hash_(most), free_(most), names_(most) {}

  // Holds the name, which is lower case in wire form with the root label. kNone: no room.
  uint32_t Hold(std::span<const uint8_t> name);
  void Release(uint32_t held);

  static uint64_t HashOf(std::span<const uint8_t> name) {
    return StringHash()({reinterpret_cast<const char*>(name.data()), name.size()});
  }

  // Of one that is held.
  std::span<const uint8_t> bytes(uint32_t held) const {
    return {names_[held].bytes.data(), names_[held].size};
  }
  // How many addresses it has; a limit on it is the holder's affair.
  std::atomic<uint32_t>& addresses(uint32_t held) { return names_[held].addresses; }

 private:
  struct Name {
    std::atomic<uint32_t> holders;  // 0: none of the rest is anything
    std::atomic<uint32_t> addresses;
    uint32_t place;  // in by_hash_
    uint8_t size;
    std::array<uint8_t, dns::wire::kMaxNameBytes> bytes;
  };

  bool TryHold(uint32_t number, std::span<const uint8_t> name);

  FixedIndex by_hash_;
  FreeNumbers free_;
  ZeroedArray<Name> names_;
};

}  // namespace portolan::proxy
