// What each name led to, when, and why it changed: kept in SQLite, in a file or in memory.
//
//   auto history = History::Open(loop, {.file = "/var/lib/portolan/history.db"});
//   (*history)->Record(committed, since);     // each commit of the Directory, the first one too
//   (*history)->At({"default", "backend"}, then, [](absl::StatusOr<Past> past) { ... });
//
// The loop's thread only; a thread of the history's own compares, writes and reads. Record costs
// the loop next to nothing and waits for nothing: snapshots are handed over as they are. At most
// 512 commits wait, or those of 20,000 names; beyond that they are taken together, so that the
// states between them are lost, which is counted and kept as a gap. What is told of a name is right
// after a gap as before it.
//
// The first commit is compared with what the file says last: what is the same leaves no entry, what
// is new is first-seen. So a restart costs as much as changed meanwhile.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "directory/directory.h"
#include "xds/history/recorder.h"
#include "xds/history/store.h"

namespace portolan::xds {

struct HistoryPage {
  nlohmann::json entries = nlohmann::json::array();  // EntryJson, newest first
  bool more = false;
  absl::Time since;  // when the kept history begins
  // [{"from", "to", "changes", "reason": "not-running" | "overload" | "file"}], latest first
  nlohmann::json gaps = nlohmann::json::array();
};

// A name at a moment.
struct Past {
  std::shared_ptr<const Snapshot> snapshot;  // of nothing else
  nlohmann::json entry;  // what made it what it was; null: that is older than the history
  nlohmann::json gap;    // the one that the moment lies in, as in HistoryPage; null: none
};

class History {
 public:
  using Options = HistoryOptions;
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  static constexpr size_t kMostCommits = 512;
  static constexpr size_t kMostKeys = 20'000;
  static constexpr int kMostQueries = 64;
  // Of List, which may have to read all entries to find few.
  static constexpr int kMostLists = 8;
  // Replicas learn of a change by watches of their own, and no more apart than this.
  static constexpr absl::Duration kMostApart = absl::Minutes(1);

  // An error if the file may not be written, or is none. A damaged one is set aside.
  static absl::StatusOr<std::unique_ptr<History>> Open(EventLoop& loop, Options options);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // `since`: when the first of the events behind it arrived.
  void Record(const Directory::Committed& now, absl::Time since);

  // `done` is called once, on the loop, not before these return. Unavailable: too many are asked
  // already.
  void List(HistoryQuery query, Done<HistoryPage> done);
  // NotFound, in words: there is nothing of that moment.
  void At(ObjectName name, absl::Time time, Done<Past> done);
  // Whether the change at each of these is kept here, at about the time that it says.
  void Hold(std::vector<Position> positions, Done<std::vector<bool>> done);

  // When the kept history begins. Any thread.
  absl::Time since() const { return absl::FromUnixMillis(stats_.since_unix_ms); }
  // Any thread.
  void AddMetrics(MetricFamilies& families) const;

 private:
  struct Waiting {
    std::deque<RecordedCommit> commits;
    size_t keys = 0;
    bool scheduled = false;
  };
  enum Query { kList, kAt, kHold, kQueries };

  History(EventLoop& loop, const Options& options);

  // On the loop.
  template <typename T, typename F>
  void Ask(Query kind, Done<T> done, F answer);
  // On the history's thread.
  void WriteNext();
  void WriteAlive();
  void KeepInOrder();
  void WriteAnewIfSetAside();
  void TrimNext();
  bool TakeNext();

  EventLoop& loop_;
  const absl::Duration retry_after_;
  Recorder::Stats stats_;
  Counter lost_;
  std::atomic<int> asked_[kQueries] = {};
  std::atomic<size_t> waiting_commits_{0};
  std::unique_ptr<Histogram> durations_[kQueries];
  Guarded<Waiting> waiting_;
  bool recorded_ = false;  // of the loop's thread

  EventLoop own_loop_;
  std::unique_ptr<Recorder> recorder_;
  std::optional<RecordedCommit> writing_;
  EventLoop::Timer retry_;
  EventLoop::Timer in_order_;
  bool trimming_ = false;
  std::thread thread_;
};

}  // namespace portolan::xds
