// The history's file: entries, and key frames to tell from them what a name was at a moment.
//
// Every entry holds what it changed of its name. The last entry of a change may also have a key
// frame: all of what the name is after it. Frames come when the entries since the last one are as
// large as four of it, or 256, so they take a fifth of the room, and a state is read from one frame
// and a bounded number of entries. Without any frame a name begins as nothing.
//
// Entries go oldest first, by age and by size; what they amounted to stays, as a frame. So "at"
// is answered for every moment since since().
//
// One thread at a time, which may wait for the disk. Errors as in sqlite.h; after DataLoss the file
// is of no more use. InvalidArgument: a row is damaged, and with it the history of one name until
// its next frame.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/string_map.h"
#include "xds/history/entry.h"
#include "xds/history/sqlite.h"
#include "xds/history/state.h"

namespace portolan::xds {

struct HistoryQuery {
  std::string ns = {};                        // empty: all
  std::string name = {};                      // empty: all
  std::optional<int64_t> since_unix_ms = {};  // this moment and later
  std::optional<int64_t> until_unix_ms = {};  // this moment and earlier
  std::optional<Cause> cause = {};
  std::optional<Position> before = {};  // where the page before ended
  size_t limit = kDefaultPageSize;
};

// A time of which not every change is here.
struct Gap {
  enum class Reason : uint8_t {
    kNotRunning = 1,
    kOverload = 2,  // the writer could not keep up; of `lost` changes only the result is here
    kFile = 3,      // the same, while the file could not be written
  };
  int64_t began_unix_ms = 0;
  int64_t ended_unix_ms = 0;
  int64_t lost = 0;
  Reason reason = Reason::kOverload;
};

struct EntryPage {
  std::vector<Entry> entries;  // newest first; fewer than asked for where rows are damaged
  bool more = false;
};

struct PastState {
  NameState state;
  std::optional<Entry> entry;  // the last one until then; nothing: it is older than the history
};

class Store {
 public:
  // Goes up when what is in a file is not what it was.
  static constexpr int kSchema = 1;

  // Makes the file where there is none; an empty name: in memory. DataLoss: it is none of ours, or
  // of another schema, or damaged (of which only Check is sure).
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& file, int64_t now_unix_ms);
  ~Store();

  // Reads all of the file.
  absl::Status Check();

  // Several Writes as one.
  absl::StatusOr<Transaction> Begin() { return Transaction::Begin(database_); }
  // After a Transaction that was not committed.
  void Forget() { names_.clear(); }

  // What happened to `name` in one change, after which it is `after`. A name's entries do not go
  // back in time: where the clock did, they get the time of the last one. Within a Transaction.
  absl::Status Write(const ObjectName& name, std::span<Entry> entries, const StateView& after);
  // One that begins when the last of the same reason has just ended makes that one longer.
  absl::Status Write(const Gap& gap);
  // That it was running then.
  absl::Status WriteAlive(int64_t unix_ms);

  // Names that were something when last heard of, and some that were nothing.
  absl::StatusOr<std::vector<ObjectName>> Names();
  absl::StatusOr<NameState> Latest(const ObjectName& name);

  absl::StatusOr<EntryPage> List(const HistoryQuery& query);
  // NotFound: it is older than the history, or nothing is known of the name.
  absl::StatusOr<PastState> At(const ObjectName& name, int64_t unix_ms);
  // Whether the same change is kept here, at a time that is at most `around_ms` away.
  absl::StatusOr<bool> Holds(const Position& position, int64_t around_ms);
  absl::StatusOr<std::vector<Gap>> Gaps();  // the last 100, the latest first

  // Removes at most `most` entries, the oldest, as long as they are older than `before_unix_ms` or
  // the file is too large for `max_bytes`. True: there is more to remove.
  absl::StatusOr<bool> Trim(int64_t before_unix_ms, int64_t max_bytes, size_t most);

  // When the history begins: nothing older can be told.
  int64_t since_unix_ms() const { return since_; }
  // When it was last known to run, in an earlier run; nothing if there was none.
  std::optional<int64_t> last_alive_unix_ms() const { return last_alive_; }
  // In bytes, without what SQLite keeps beside the file.
  struct Size {
    int64_t file = 0;
    int64_t free = 0;  // of the file's
  };
  absl::StatusOr<Size> MeasureSize();
  // The write-ahead log (-wal) grows to about so much, which Trim takes into account.
  static constexpr int64_t kBeside = 8 << 20;

 private:
  struct Statements;
  // What is known of a name whose history goes on.
  struct Known {
    int64_t id = 0;
    int64_t last_unix_ms = 0;
    size_t entries_since_frame = 0;
    size_t bytes_since_frame = 0;
    size_t frame_bytes = 0;
  };
  // An entry that is removed.
  struct Doomed {
    int64_t id = 0;
    int64_t unix_ms = 0;
    int64_t name_id = 0;
  };

  explicit Store(Database database);

  absl::Status Prepare(int64_t now_unix_ms);
  absl::Status MakeSchema(int64_t now_unix_ms);
  absl::Status ReadFacts(int64_t now_unix_ms);
  absl::StatusOr<Known*> Know(const ObjectName& name);
  absl::Status WriteEntry(const Known& known, const Entry& entry, const std::string& delta);
  absl::Status WriteFrame(int64_t entry, int64_t name_id, int64_t unix_ms, std::string_view frame);
  absl::Status SetFact(std::string_view key, int64_t value);
  absl::StatusOr<std::optional<int64_t>> IdOf(const ObjectName& name);
  absl::StatusOr<bool> KnowsNamespace(const std::string& ns);
  // Until that time, and no later than that entry.
  absl::StatusOr<PastState> StateAt(const ObjectName& name, int64_t name_id, int64_t unix_ms,
                                    int64_t entry);

  absl::StatusOr<std::vector<Doomed>> Oldest(int64_t before_unix_ms, size_t most);
  // After which the history begins at `since_unix_ms`.
  absl::Status Remove(const std::vector<Doomed>& doomed, int64_t since_unix_ms);
  absl::Status Settle(const Doomed& last);

  Database database_;
  std::unique_ptr<Statements> statements_;
  StringMap<Known> names_;
  int64_t next_entry_ = 1;
  int64_t since_ = 0;
  std::optional<int64_t> last_alive_;
};

}  // namespace portolan::xds
