// Which of what comes is counted where counting all would cost too much: all of the first 128 of a
// second, and of the rest one in 16 on average, at random, for as many.
//
// What is seldom is counted exactly. Of what comes often the count is an estimate, whose standard
// deviation after n of the rest is 4 times the square root of n: 1 % after 150,000.
//
// One thread.
#pragma once

#include <cstdint>
#include <random>

namespace portolan {

class Sample {
 public:
  static constexpr uint32_t kExact = 128;
  static constexpr uint32_t kOneIn = 16;

  // For how many this one is counted; 0: for none. `second` is of any clock.
  uint32_t Take(uint32_t second) {
    if (second != second_) {
      second_ = second;
      seen_ = 0;
    }
    if (seen_ < kExact) {
      ++seen_;
      return 1;
    }
    if (to_skip_-- > 0) return 0;
    // Those in between are kOneIn - 1 on average.
    to_skip_ = random_() % (2 * kOneIn - 1);
    return kOneIn;
  }

 private:
  uint32_t second_ = 0;
  uint32_t seen_ = 0;
  std::minstd_rand random_;
  uint32_t to_skip_ = random_() % (2 * kOneIn - 1);
};

}  // namespace portolan
