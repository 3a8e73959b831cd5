// The state file on disk: loaded at a start, written behind the loop's back.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "proxy/feed/saved_state.h"

namespace portolan::proxy {

// Reads the file at `path`, blocking. NotFound if there is none. Another error if it cannot be
// used: then it is renamed to PATH.bad-TIME, for someone to look at, and the error says so. The
// newest kMaxSetAside of those are kept.
inline constexpr size_t kMaxSetAside = 3;
absl::StatusOr<RestoredState> LoadState(const std::string& path, std::string_view reader,
                                        Directory::Slices slices = Directory::Slices::kOfAll,
                                        PolicyReplica::Own own = {});

// Moves a file that cannot be used out of the way of the next one, as LoadState does. What became
// of it, for the log.
std::string SetAside(const std::string& path);

// Saves some state some time after a change, at most once per `interval`, from a thread of its own.
// A write that fails is counted and tried again, after kFirstRetry and then after twice as long
// each time up to kLastRetry; the first of a row is logged. Nobody waits for it. All methods are
// called on `loop`.
class StateWriter {
 public:
  static constexpr absl::Duration kFirstRetry = absl::Seconds(1);
  static constexpr absl::Duration kLastRetry = absl::Seconds(30);

  // Writes the file at `path`, on the disk's thread.
  using Image = std::function<absl::Status(const std::string& path)>;
  struct Counters {
    Counter& written;
    Counter& failed;
  };

  // `take` gives what to write, when it is to be written. The counters outlive it.
  StateWriter(EventLoop& loop, std::string path, absl::Duration interval,
              std::function<Image()> take, Counters counters);
  ~StateWriter();
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  void Changed();
  // Why the last write failed; empty if it did not.
  const std::string& fault() const { return fault_; }
  // Writes what has changed since the last write and waits for the disk. Then the writer is done.
  void Stop();

 private:
  void Schedule();
  void BeginWrite();
  void Write(const Image& image);
  void TakeResults();
  void Report(const absl::Status& status);

  EventLoop& loop_;
  const std::string path_;
  const absl::Duration interval_;
  const std::function<Image()> take_;
  const Counters counters_;

  EventLoop::Timer timer_;
  bool scheduled_ = false;
  bool writing_ = false;
  bool changed_ = false;
  std::string fault_;
  absl::Duration retry_after_ = kFirstRetry;
  Guarded<std::vector<absl::Status>> results_;
  // Tasks that the disk's thread posted hold a weak reference.
  std::shared_ptr<StateWriter*> self_;
  EventLoop disk_;
  std::thread thread_;
};

}  // namespace portolan::proxy
