// Unpredictable numbers for query ids and server choice (RFC 5452 9.2). One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace portolan::dns::upstream {

// Fills the span with bytes that nobody can guess.
using RandomSource = std::function<void(std::span<uint8_t>)>;

// getrandom(2). Aborts the process if the kernel has none: guessable ids are worse than no service.
void KernelRandom(std::span<uint8_t> out);

// Draws from the source in batches, so that a query does not cost a system call.
class Random {
 public:
  explicit Random(RandomSource source) : source_(std::move(source)) {}

  uint16_t Next16();
  // Below `bound`, which is at least 1 and far below 65,536: the small bias does not matter.
  size_t Below(size_t bound) { return Next16() % bound; }

 private:
  RandomSource source_;
  std::array<uint8_t, 512> batch_{};
  size_t used_ = batch_.size();
};

}  // namespace portolan::dns::upstream
