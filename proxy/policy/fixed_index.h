// What tables are made of that several threads read and write at once, without a lock and without
// an allocation: memory that is there from the start, numbers to give out, and an index by hash.
//
// Any thread, all methods. Nothing here is ever moved: what an index holds stays in its place until
// it is removed, so that who looks for it while others come and go never misses it.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace portolan::proxy {

// `count` objects whose bytes are all zero, which must be a value that T starts with. A page takes
// memory when it is first written, so that a table costs what is in it.
template <typename T>
class ZeroedArray {
 public:
  explicit ZeroedArray(size_t count) : objects_(static_cast<T*>(std::calloc(count, sizeof(T)))) {
    if (objects_ == nullptr) throw std::bad_alloc();
  }
  T& operator[](size_t i) { return objects_.get()[i]; }
  const T& operator[](size_t i) const { return objects_.get()[i]; }

 private:
  struct Free {
    void operator()(T* objects) const { std::free(objects); }
  };
  const std::unique_ptr<T[], Free> objects_;
};

// The numbers below `count`, each given to one at a time. Those used before are given first, so
// that what they stand for lies close together.
class FreeNumbers {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit FreeNumbers(uint32_t count) : count_(count), below_(count) {}

  // kNone if all are taken.
  uint32_t Take() {
    uint64_t top = top_.load(std::memory_order_acquire);
    while (static_cast<uint32_t>(top) != 0) {
      const uint32_t number = static_cast<uint32_t>(top) - 1;
      const uint64_t next = NextChange(top) | below_[number].load(std::memory_order_relaxed);
      if (top_.compare_exchange_weak(top, next, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return number;
      }
    }
    uint32_t first = untouched_.load(std::memory_order_relaxed);
    while (first < count_) {
      if (untouched_.compare_exchange_weak(first, first + 1, std::memory_order_relaxed)) {
        return first;
      }
    }
    return kNone;
  }

  // REQUIRES: taken. What was done with it happened before it is given out again.
  void Give(uint32_t number) {
    uint64_t top = top_.load(std::memory_order_relaxed);
    do {
      below_[number].store(static_cast<uint32_t>(top), std::memory_order_relaxed);
    } while (!top_.compare_exchange_weak(top, NextChange(top) | (number + 1),
                                         std::memory_order_acq_rel, std::memory_order_relaxed));
  }

  // All numbers that were ever given out are below.
  uint32_t touched() const { return untouched_.load(std::memory_order_acquire); }

 private:
  // The upper half counts changes, so that a top is not taken for an earlier one of that number.
  static uint64_t NextChange(uint64_t top) { return ((top >> 32) + 1) << 32; }

  const uint32_t count_;
  std::atomic<uint64_t> top_{0};  // lower half: the number on top of the stack plus 1; 0: none
  ZeroedArray<std::atomic<uint32_t>> below_;  // as the lower half of top_
  std::atomic<uint32_t> untouched_{0};
};

// Numbers of things by the hash of their keys: a table with open addressing. A key's places are
// those from its home on in strides of its own; at each home stands how many of them were ever
// used, which are all that a search looks at. That only grows, by the logarithm of what comes and
// goes as the table is at most a third full, so that things need no tombstones. Many things with
// one hash make only searches for that hash long.
class FixedIndex {
 public:
  static constexpr uint32_t kNowhere = UINT32_MAX;
  static constexpr uint32_t kMostThings = (1u << 20) - 2;

  explicit FixedIndex(uint32_t most_things)
      : mask_(std::bit_ceil(most_things * 3) - 1), places_(mask_ + 1) {}

  // Calls visit(number) for the things that may have the hash until it returns true, and returns
  // whether it did. What was put in before, and is not removed, is among them.
  template <typename F>
  bool Visit(uint64_t hash, F&& visit) const {
    const uint32_t reach = places_[Home(hash)].reach.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < reach; ++i) {
      const uint32_t word = places_[PlaceOf(hash, i)].word.load(std::memory_order_acquire);
      if (HasHash(word, hash) && visit(NumberOf(word))) return true;
    }
    return false;
  }

  // Puts the thing into the first place that is free, and returns which. same(number) is asked of
  // those that have come before it meanwhile: where that returns true nothing is put in, and
  // kNowhere returned. REQUIRES: not more than most_things are in.
  template <typename F>
  uint32_t Put(uint64_t hash, uint32_t number, F&& same) {
    for (uint32_t i = 0;; i = (i + 1) & mask_) {
      const uint32_t place = PlaceOf(hash, i);
      uint32_t word = places_[place].word.load(std::memory_order_acquire);
      if (word == 0) {
        // Before the thing is there: who can know of it sees it.
        Reach(Home(hash), i + 1);
        if (places_[place].word.compare_exchange_strong(
                word, WordOf(hash, number), std::memory_order_acq_rel, std::memory_order_acquire)) {
          return place;
        }
      }
      if (HasHash(word, hash) && same(NumberOf(word))) return kNowhere;
    }
  }

  // REQUIRES: what Put returned, not removed since.
  void Remove(uint32_t place) { places_[place].word.store(0, std::memory_order_release); }

 private:
  // Together, as a key's home is the first of its places: mostly one look into memory for both.
  struct Place {
    std::atomic<uint32_t> word;
    std::atomic<uint32_t> reach;  // of the keys that are at home here
  };

  static constexpr uint32_t kNumberBits = 20;
  static constexpr uint32_t kNumberMask = (1u << kNumberBits) - 1;

  // 0: free. Else the number plus 1, and the topmost bits of the hash above it.
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32) & ~kNumberMask; }
  static uint32_t WordOf(uint64_t hash, uint32_t number) { return TagOf(hash) | (number + 1); }
  static uint32_t NumberOf(uint32_t word) { return (word & kNumberMask) - 1; }
  static bool HasHash(uint32_t word, uint64_t hash) {
    return word != 0 && (word & ~kNumberMask) == TagOf(hash);
  }

  uint32_t Home(uint64_t hash) const { return static_cast<uint32_t>(hash) & mask_; }
  // An odd stride comes by every place.
  uint32_t PlaceOf(uint64_t hash, uint32_t i) const {
    return (static_cast<uint32_t>(hash) + i * (static_cast<uint32_t>(hash >> 22) | 1)) & mask_;
  }

  void Reach(uint32_t home, uint32_t places) {
    std::atomic<uint32_t>& reach = places_[home].reach;
    uint32_t before = reach.load(std::memory_order_relaxed);
    while (before < places &&
           !reach.compare_exchange_weak(before, places, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
    }
  }

  const uint32_t mask_;
  ZeroedArray<Place> places_;
};

}  // namespace portolan::proxy
