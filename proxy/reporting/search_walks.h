// The look-ups of the pod that are on their way through the search list: of each name and type, how
// many of its questions were answered NXDOMAIN so far.
//
// All workers share it, since a resolver asks each question from another port and so another
// worker: a fixed number of words, each changed in one atomic step, and no lock. A name whose word
// is needed for another is forgotten, as is one that was not asked for kPatience: what it is used
// for then counts too little, never too much. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace portolan::proxy {

class SearchWalks {
 public:
  static constexpr size_t kWalks = 1024;
  static constexpr uint32_t kPatience = 30;  // s; glibc's resolver waits for 5 s, twice

  // `walk` is a hash of the name as the application gave it and of the type. `now` is in seconds of
  // any clock that does not go back.

  // One more of its questions was answered NXDOMAIN.
  void Step(uint64_t walk, uint32_t now);
  // It came to an end with the question after `most` of the list: how many were in vain, of which
  // nothing is left. 0: it is not on its way.
  uint32_t End(uint64_t walk, uint32_t most, uint32_t now);
  bool IsOnItsWay(uint64_t walk, uint32_t now) const;
  // False: none is, as in a pod whose names are all found at once.
  bool AnyIsOnItsWay(uint32_t now) const {
    return now <= on_the_way_until_.load(std::memory_order_relaxed);
  }
  // The last second in which that is true, as it is now.
  const std::atomic<uint32_t>& on_the_way_until() const { return on_the_way_until_; }

 private:
  std::atomic<uint32_t> on_the_way_until_{0};
  std::array<std::atomic<uint64_t>, kWalks> words_{};
};

}  // namespace portolan::proxy
