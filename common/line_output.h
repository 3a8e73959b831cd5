// Lines from the data path to standard output: writers put them into rings of their own and never
// wait; one thread of the process writes them out, a few moments later, and sleeps while there are
// none. For what is said about single queries (`log`, `errors`); the program's own log is
// common/log.h.
//
//   auto writer = LineOutput::Standard().Open();     // control path
//   if (!writer->Write("[INFO] ...\n")) dropped.Add();
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "common/byte_ring.h"
#include "common/metrics.h"

namespace portolan {

class LineOutput {
 public:
  // A ring and who empties it. One thread at a time.
  class Writer {
   public:
    Writer(LineOutput& output, std::shared_ptr<ByteRing> ring)
        : output_(output), ring_(std::move(ring)) {}
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // False, and nothing is written, when there is no room.
    bool Write(std::string_view text);

   private:
    LineOutput& output_;
    std::shared_ptr<ByteRing> ring_;
  };

  // To the process's standard output. What is in the rings when the process ends is written then.
  static LineOutput& Standard();

  // `fd` stays the caller's. Started by the first Open.
  explicit LineOutput(int fd) : fd_(fd) {}
  // Writes what is left, if there is a reader for it. REQUIRES: no Writer is left.
  ~LineOutput();
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;

  // With a ring of kRingBytes. Lines of several writers are not ordered. Any thread; takes a lock.
  std::unique_ptr<Writer> Open();

  // Taken from the rings, and not written: nobody reads any more, or the disk is full. Any thread.
  uint64_t lost_bytes() const { return lost_bytes_.value(); }

 private:
  // At a line of 100 bytes some 50,000 lines a second and writer.
  static constexpr size_t kRingBytes = 1 << 18;

  void Wake();
  void Run();
  void DrainAll();
  void Drain(ByteRing& ring);
  // False when nobody reads any more.
  bool WriteOut(std::string_view text);
  bool WaitForReader() const;

  const int fd_;
  // A condition needs the mutex in plain view: not a Guarded.
  std::mutex mutex_;
  std::condition_variable stop_;
  std::vector<std::shared_ptr<ByteRing>> rings_;
  std::atomic<bool> stopping_ = false;
  // 1 once something was written that the thread has not begun to look for.
  std::atomic<int> news_ = 0;
  Counter lost_bytes_;
  std::thread thread_;
};

}  // namespace portolan
