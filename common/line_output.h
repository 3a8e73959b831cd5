// Lines from the data path to standard output: writers put them into rings of their own and never
// wait; one thread of the process writes them out, a few moments later. For what is said about
// single queries (`log`, `errors`); the program's own log is common/log.h.
//
//   auto writer = LineOutput::Standard().Open();     // control path
//   if (!writer->Write("[INFO] ...\n")) dropped.Add();
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "common/byte_ring.h"

namespace portolan {

class LineOutput {
 public:
  // One thread writes to it at a time, as to a ByteRing.
  using Writer = ByteRing;

  // To the process's standard output. What is in the rings when the process ends is written then.
  static LineOutput& Standard();

  // `fd` stays the caller's. Started by the first Open.
  explicit LineOutput(int fd) : fd_(fd) {}
  // Writes what is left, if there is a reader for it.
  ~LineOutput();
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;

  // A ring of kRingBytes, closed by letting go of it. Lines of several writers are not ordered.
  // Any thread; takes a lock.
  std::shared_ptr<Writer> Open();

 private:
  // At a line of 100 bytes some 50,000 lines a second and writer.
  static constexpr size_t kRingBytes = 1 << 18;

  void Run();
  void Drain(const std::vector<std::shared_ptr<Writer>>& rings);
  // False when nobody reads any more.
  bool WriteOut(std::string_view text) const;
  bool WaitForReader() const;

  const int fd_;
  // A condition needs the mutex in plain view: not a Guarded.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Writer>> rings_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace portolan
