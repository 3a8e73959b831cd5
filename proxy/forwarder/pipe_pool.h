// Pipes through which bulk bytes are spliced from socket to socket in the kernel, splice(2).
//
// One pool per worker, on its thread. All sidecars of a node share a user and so one
// pipe-user-pages-soft (16,384 pages, 1,024 pipes of the usual size; pipe(7)): the pool is small, a
// pipe is lent only while bytes are in hand, and those that nobody has wanted for a while are
// closed. Where the user has more than that already the kernel gives pipes of one or two pages,
// which are slower than copying; they are not used, and no other is asked for within a second.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "common/fd.h"
#include "proxy/forwarder/counters.h"

namespace portolan::proxy {

inline constexpr size_t kPipeBytes = 64 * 1024;  // as the kernel makes them, 16 pages

// Both ends are non-blocking.
struct Pipe {
  Fd read;
  Fd write;
};

class PipePool {
 public:
  // At most `max` at a time. What is lent and refused is counted.
  PipePool(size_t max, ForwarderCounters& counters);

  // Null if there is none to be had now. Empty; stays where it is until it is given back.
  Pipe* Take();
  // Null is allowed and does nothing.
  void GiveEmpty(Pipe* pipe);
  // One with bytes in it that nobody wants any more.
  void GiveFull(Pipe* pipe);

  // Closes the pipes that were not wanted since the last time.
  void Trim();

  size_t open() const { return pipes_.size() - closed_.size(); }
  size_t lent() const { return open() - idle_.size(); }

 private:
  Pipe* Open();

  ForwarderCounters& counters_;
  std::vector<Pipe> pipes_;
  std::vector<Pipe*> closed_;
  std::vector<Pipe*> idle_;
  size_t least_idle_ = 0;  // since the last Trim
  std::chrono::steady_clock::time_point refused_until_;
};

}  // namespace portolan::proxy
