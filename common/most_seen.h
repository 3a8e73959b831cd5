// Which keys come most often, out of any number of them, in a fixed place: 256 by default. Nothing
// is allocated and no more than four keys are looked at for each that comes.
//
// A key has its place in a set of four, by its hash. One that comes to a full set takes a unit off
// the weight of the lightest of the four, and its place once nothing is left; every coming weighs
// one, up to kMaxWeight. A flood of keys that come once each thus passes by in one place of each
// set and leaves the others alone. With Age, what comes no more makes room. (The idea is that of
// HeavyKeeper, https://www.usenix.org/conference/atc18/presentation/gong, without its dice.)
//
// Counts is what is counted of a key: default-constructible, with void Add(const Counts&). One
// thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace portolan {

template <typename Counts, size_t kMaxKeyBytes, size_t kSets = 64>
class MostSeen {
 public:
  static constexpr size_t kWays = 4;
  static constexpr uint8_t kMaxWeight = 255;

  // Where `key` is counted: by itself, or among the others. Keys are told apart by `hash` alone,
  // all of whose 64 bits depend on all of the key: to compare them would take another line of
  // memory for each that comes. REQUIRES: key.size() <= kMaxKeyBytes.
  Counts& See(std::span<const uint8_t> key, uint64_t hash) {
    Set& set = sets_[hash % kSets];
    Entry* const entries = &entries_[hash % kSets * kWays];
    for (size_t way = 0; way < kWays; ++way) {
      if (set.hashes[way] != hash || set.weights[way] == 0) continue;
      if (set.weights[way] < kMaxWeight) ++set.weights[way];
      return entries[way].counts;
    }
    return MakeRoom(set, entries, key, hash);
  }

  // To be called now and then: what came before weighs half of what it did.
  void Age() {
    for (Set& set : sets_) {
      for (uint8_t& weight : set.weights) weight = static_cast<uint8_t>((weight + 1) / 2);
    }
  }

  // visit(std::span<const uint8_t> key, const Counts&), of each that is counted by itself.
  template <typename F>
  void ForEach(F&& visit) const {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (sets_[i / kWays].weights[i % kWays] > 0) visit(entries_[i].key(), entries_[i].counts);
    }
  }

  // Of keys that are not, or are no longer, counted by themselves.
  const Counts& others() const { return others_; }

 private:
  struct Set;
  struct Entry;
  static_assert(kMaxKeyBytes <= 255);

  Counts& MakeRoom(Set& set, Entry* entries, std::span<const uint8_t> key, uint64_t hash) {
    const auto way = static_cast<size_t>(std::min_element(set.weights.begin(), set.weights.end()) -
                                         set.weights.begin());
    if (set.weights[way] > 0 && --set.weights[way] > 0) return others_;
    others_.Add(entries[way].counts);
    entries[way].Begin(key);
    set.hashes[way] = hash;
    set.weights[way] = 1;
    return entries[way].counts;
  }

  // On one cache line, so that a key that is not there costs one.
  struct alignas(64) Set {
    std::array<uint64_t, kWays> hashes{};
    std::array<uint8_t, kWays> weights{};  // 0: an empty place
  };
  struct Entry {
    std::span<const uint8_t> key() const { return std::span(bytes).first(key_bytes); }
    void Begin(std::span<const uint8_t> new_key) {
      counts = {};
      std::copy(new_key.begin(), new_key.end(), bytes.begin());
      key_bytes = static_cast<uint8_t>(new_key.size());
    }

    Counts counts;
    uint8_t key_bytes = 0;
    std::array<uint8_t, kMaxKeyBytes> bytes;
  };

  std::array<Set, kSets> sets_;
  std::array<Entry, kSets * kWays> entries_;
  Counts others_;
};

}  // namespace portolan
