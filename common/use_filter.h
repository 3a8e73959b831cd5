// Which of many things were used lately, noted by threads that can spare neither a lock nor a wait:
// a fixed number of bits that all of them share, of which a thing has the one that its hash names.
// Two things may share one, and then both seem used.
//
// Mark: any thread. It writes only what is not marked yet, so that what is used all the time stays
// in every processor's cache. Take: one thread, now and then.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace portolan {

class UseFilter {
 public:
  static constexpr size_t kBits = 1u << 16;

  void Mark(uint64_t hash) {
    std::atomic<uint64_t>& word = words_[WordOf(hash)];
    if ((word.load(std::memory_order_relaxed) & BitOf(hash)) != 0) return;
    word.fetch_or(BitOf(hash), std::memory_order_relaxed);
  }

  // What was marked since the last Take.
  class Marked {
   public:
    bool Holds(uint64_t hash) const { return (words_[WordOf(hash)] & BitOf(hash)) != 0; }

   private:
    friend class UseFilter;
    std::array<uint64_t, kBits / 64> words_;
  };
  Marked Take() {
    Marked marked;
    for (size_t i = 0; i < words_.size(); ++i) {
      marked.words_[i] = words_[i].exchange(0, std::memory_order_relaxed);
    }
    return marked;
  }

 private:
  static size_t WordOf(uint64_t hash) { return hash % kBits / 64; }
  static uint64_t BitOf(uint64_t hash) { return uint64_t{1} << hash % 64; }

  std::array<std::atomic<uint64_t>, kBits / 64> words_{};
};

}  // namespace portolan
