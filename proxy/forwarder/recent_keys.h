// What something happened to lately (addresses, Services), a fixed number: for what is not to be
// done again so soon. Two may share a place, and the later has it. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/hash/hash.h"
#include "absl/time/time.h"

namespace portolan::proxy {

template <typename Key>
class RecentKeys {
 public:
  // Times are monotonic.
  bool Holds(const Key& key, absl::Duration now) const {
    const uint64_t hash = absl::HashOf(key);
    const Place& place = places_[hash % kPlaces];
    return place.hash == hash && now < place.until;
  }
  void Add(const Key& key, absl::Duration until) {
    const uint64_t hash = absl::HashOf(key);
    places_[hash % kPlaces] = {hash, until};
  }

 private:
  static constexpr size_t kPlaces = 256;
  // A hash of 64 bits stands for its key: two are not taken for each other.
  struct Place {
    uint64_t hash = 0;
    absl::Duration until = absl::ZeroDuration();
  };

  std::array<Place, kPlaces> places_;
};

}  // namespace portolan::proxy
