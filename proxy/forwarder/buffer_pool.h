// Buffers for bytes that were read from one side of a connection and that the other side does not
// take yet. A connection borrows one only while it has such bytes; an idle one holds none.
//
// One per worker, on its thread. The number of buffers lent is bounded; some that come back are
// kept for the next, the others are freed, so that a burst of slow readers leaves nothing behind.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace portolan::proxy {

inline constexpr size_t kBufferBytes = 32 * 1024;
using Buffer = std::array<std::byte, kBufferBytes>;

class BufferPool {
 public:
  explicit BufferPool(size_t max_lent) : max_lent_(max_lent) { spare_.reserve(kMaxSpare); }

  // Take gives a buffer as long as this holds.
  bool has_buffer() const { return lent_ < max_lent_; }
  size_t lent() const { return lent_; }

  // REQUIRES: has_buffer(). Its content is not defined.
  std::unique_ptr<Buffer> Take() {
    ++lent_;
    if (spare_.empty()) return std::make_unique_for_overwrite<Buffer>();
    std::unique_ptr<Buffer> buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }

  // Null is allowed and does nothing.
  void Give(std::unique_ptr<Buffer> buffer) {
    if (buffer == nullptr) return;
    --lent_;
    if (spare_.size() < kMaxSpare) spare_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kMaxSpare = 64;

  const size_t max_lent_;
  size_t lent_ = 0;
  std::vector<std::unique_ptr<Buffer>> spare_;
};

}  // namespace portolan::proxy
