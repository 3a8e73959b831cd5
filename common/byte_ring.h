// Bytes from one thread to another without a lock: bounded, and a writer never waits.
//
// Write: one thread. Read: one other thread. What does not fit is refused whole, so that a reader
// never sees half a line.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace portolan {

class ByteRing {
 public:
  // `bytes`: a power of two.
  explicit ByteRing(size_t bytes)
      : mask_(bytes - 1), memory_(std::make_unique_for_overwrite<char[]>(bytes)) {}

  // False, and nothing is written, when there is no room.
  bool Write(std::string_view text) {
    const size_t end = written_.load(std::memory_order_relaxed);
    const size_t used = end - read_.load(std::memory_order_acquire);
    if (text.size() > mask_ + 1 - used) return false;
    const size_t at = end & mask_;
    const size_t first = std::min(text.size(), mask_ + 1 - at);
    std::memcpy(&memory_[at], text.data(), first);
    std::memcpy(&memory_[0], text.data() + first, text.size() - first);
    written_.store(end + text.size(), std::memory_order_release);
    return true;
  }

  // As much as is there and fits into `out`. Returns the bytes read.
  size_t Read(std::span<char> out) {
    const size_t begin = read_.load(std::memory_order_relaxed);
    const size_t bytes = std::min(out.size(), written_.load(std::memory_order_acquire) - begin);
    const size_t at = begin & mask_;
    const size_t first = std::min(bytes, mask_ + 1 - at);
    std::memcpy(out.data(), &memory_[at], first);
    std::memcpy(out.data() + first, &memory_[0], bytes - first);
    read_.store(begin + bytes, std::memory_order_release);
    return bytes;
  }

  // To the reader.
  bool empty() const {
    return read_.load(std::memory_order_relaxed) == written_.load(std::memory_order_acquire);
  }

 private:
  const size_t mask_;
  const std::unique_ptr<char[]> memory_;
  // Bytes ever written and read; apart, so that the two threads do not share a cache line.
  alignas(64) std::atomic<size_t> written_{0};
  alignas(64) std::atomic<size_t> read_{0};
};

}  // namespace portolan
