// The learned addresses on disk, so that a restart of the sidecar closes nothing that names have
// opened: what a client has in its own cache it dials without asking again.
//
// The file is sealed as the feed's state is (proxy/feed/saved_state.h); its body is a
// portolan.v1.LearnedState. Ages are counted by the wall clock while the sidecar is not there;
// where that went back no time has passed. Main thread, save where it says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "proxy/feed/state_file.h"
#include "proxy/policy/learned_addresses.h"

namespace portolan::proxy {

// Of 10,000 entries whose names are as long as may be.
inline constexpr size_t kMaxLearnedBytes = size_t{16} << 20;

// The moment that entries are from, or are taken up at, by either clock.
struct BothClocks {
  absl::Duration monotonic;
  absl::Time wall;
  static BothClocks Now();
};

// Any thread.
std::string EncodeLearned(const std::vector<LearnedAddresses::Entry>& entries,
                          const BothClocks& at);

// The entries of a whole file as they are now. What was in use when it was written is good for
// `grace` more. Checks everything, in time and memory bounded by the file's length; any thread.
absl::StatusOr<std::vector<LearnedAddresses::Entry>> DecodeLearned(std::string_view file,
                                                                   const BothClocks& now,
                                                                   absl::Duration grace);

// Keeps the table: takes up at the start what the file has, takes away each second what has
// expired, and saves what has changed, from a thread of the disk's own: new entries within two
// seconds; after kLazily that entries were renewed, or are used, or not any more.
class LearnedState {
 public:
  static constexpr absl::Duration kEvery = absl::Seconds(1);
  static constexpr absl::Duration kLazily = absl::Seconds(15);

  // Reads the file, blocking. One that cannot be used is set aside, with a line in the log, and
  // nothing is learned from it. An empty path: there is none. `learned` outlives it.
  LearnedState(EventLoop& loop, std::string path, LearnedAddresses& learned);
  ~LearnedState();
  LearnedState(const LearnedState&) = delete;
  LearnedState& operator=(const LearnedState&) = delete;

  // Saves what has changed, waits for the disk, and saves nothing more. To be called while
  // connections still hold what they use: what was good for that alone, and is let go of before it
  // is saved, is lost. The destructor does it else.
  void Stop();

  // portolan_policy_learned_writes_total{result}. Any thread.
  void Collect(MetricFamilies& families) const;

 private:
  void Load();
  void OnTime();
  void SaveChanges(absl::Duration lazily);
  StateWriter::Image TakeImage();

  EventLoop& loop_;
  const std::string path_;
  LearnedAddresses& learned_;
  Counter written_;
  Counter failed_;
  // When the table was last given to the writer, and what it had seen then.
  absl::Duration saved_at_ = absl::ZeroDuration();
  uint64_t saved_additions_ = 0;
  uint64_t saved_touches_ = 0;
  EventLoop::Timer timer_;
  std::unique_ptr<StateWriter> writer_;  // null: nothing was to be saved yet
  bool stopped_ = false;
};

}  // namespace portolan::proxy
