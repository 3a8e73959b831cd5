// Writes what commits changed into the history's file, and keeps the file in order: its size and
// age, and that it can be read at all. A file that cannot is set aside, as FILE.corrupt-TIME, and a
// new one begun, in which every name is seen for the first time.
//
// The history's own thread only (history.h), but for Open and Stats.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/metrics.h"
#include "directory/directory.h"
#include "xds/history/store.h"

namespace portolan::xds {

struct HistoryOptions {
  std::string file = {};  // empty: in memory
  absl::Duration max_age = absl::Hours(24);
  int64_t max_bytes = 256 << 20;
  absl::Duration retry_after = absl::Seconds(5);  // where it cannot be written
  std::function<absl::Time()> now = absl::Now;
};

// What waits to be written: commits in a row, taken for one where there are too many. Then of what
// several of them changed, `lost` changes, only the last state is left.
struct RecordedCommit {
  std::shared_ptr<const Snapshot> snapshot;  // after them
  // Of Services and their endpoints: when the last commit that changed them began.
  absl::btree_map<std::string, absl::Time> keys;
  absl::Time since;  // when the first of them began
  int64_t lost = 0;
  Gap::Reason why_lost = Gap::Reason::kOverload;
};

class Recorder {
 public:
  // Written on the history's thread, read by any.
  struct Stats {
    Counter entries;
    Counter write_failures;
    Counter set_aside;
    std::atomic<bool> in_file{false};
    std::atomic<bool> failing{false};  // the file cannot be written
    std::atomic<int64_t> bytes{0};
    std::atomic<int64_t> since_unix_ms{0};
  };

  // Where the file is another process's or the disk is full, there is a history in memory, which
  // the log tells. An error if there may never be a file: no permission, or it is a directory.
  static absl::StatusOr<std::unique_ptr<Recorder>> Open(HistoryOptions options, Stats& stats);

  // Reads all of the file, which takes a second for a large one.
  void Check();

  enum class Outcome {
    kDone,   // all of the commit is written
    kMore,   // call again
    kLater,  // the file cannot be written, or was set aside; call again in a while
  };
  // Writes a part of `commit` that does not keep those waiting who ask. The first commit is
  // compared with what the file says last of every name.
  Outcome Write(const RecordedCommit& commit);

  // Removes what is too old or too much, a part at a time. True: there is more to remove.
  bool Trim();
  // That it runs, for the next start.
  void WriteAlive();

  // What the file said last that was set aside, for Write, unless a later commit was written since.
  std::optional<RecordedCommit> TakeToWriteAnew();
  bool has_to_write_anew() const { return to_write_anew_ != nullptr; }

  Store& store() { return *store_; }

 private:
  Recorder(HistoryOptions options, std::unique_ptr<Store> store, Stats& stats)
      : options_(std::move(options)), store_(std::move(store)), stats_(stats) {}

  absl::Status Begin(const RecordedCommit& commit);
  absl::Status WriteSome(const RecordedCommit& commit);
  absl::StatusOr<std::vector<Entry>> EntriesOf(const ObjectName& name, const StateView& after,
                                               absl::Time since);
  absl::Status WriteGap(const RecordedCommit& commit);
  void Failed(const absl::Status& status);
  void SetAside(const absl::Status& why);
  void ShowState();

  const HistoryOptions options_;
  std::unique_ptr<Store> store_;
  Stats& stats_;
  // What the file says last; null before the first commit is written.
  std::shared_ptr<const Snapshot> written_;
  // What a file said last that was set aside; null: there is none, or all of it is written again.
  std::shared_ptr<const Snapshot> to_write_anew_;
  // Of the commit that is being written: what is left of it.
  bool begun_ = false;
  std::vector<std::pair<std::string, absl::Time>> keys_;
  size_t next_ = 0;
};

}  // namespace portolan::xds
