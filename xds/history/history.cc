#include "xds/history/history.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "directory/listing.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr absl::Duration kInOrderEvery = absl::Seconds(10);
constexpr double kBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};

std::string_view Word(Gap::Reason reason) {
  switch (reason) {
    case Gap::Reason::kNotRunning:
      return "not-running";
    case Gap::Reason::kOverload:
      return "overload";
    case Gap::Reason::kFile:
      return "file";
  }
  return "";
}

json GapJson(const Gap& gap) {
  return {{"from", TimeJson(absl::FromUnixMillis(gap.began_unix_ms))},
          {"to", TimeJson(absl::FromUnixMillis(gap.ended_unix_ms))},
          {"changes", gap.lost},
          {"reason", Word(gap.reason)}};
}

// Of a later commit into an earlier one. How many there were already.
int64_t Merge(const RecordedCommit& from, RecordedCommit& to) {
  int64_t there = 0;
  for (const auto& [key, when] : from.keys) {
    there += to.keys.insert_or_assign(key, when).second ? 0 : 1;
  }
  return there;
}

absl::StatusOr<HistoryPage> ListPage(Store& store, const HistoryQuery& query) {
  const auto listed = store.List(query);
  if (!listed.ok()) return listed.status();
  const auto gaps = store.Gaps();
  if (!gaps.ok()) return gaps.status();
  HistoryPage page;
  for (const Entry& entry : listed->entries) page.entries.push_back(EntryJson(entry));
  for (const Gap& gap : *gaps) page.gaps.push_back(GapJson(gap));
  page.more = listed->more;
  page.since = absl::FromUnixMillis(store.since_unix_ms());
  return page;
}

absl::StatusOr<Past> PastOf(Store& store, const ObjectName& name, absl::Time time) {
  auto past = store.At(name, absl::ToUnixMillis(time));
  if (absl::IsNotFound(past.status())) return past.status();
  if (!past.ok()) return absl::UnavailableError(past.status().message());
  if (past->state.empty()) {
    return NotFound("there was no Service {} at {}", name.ToString(),
                    absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()));
  }
  const auto gaps = store.Gaps();
  if (!gaps.ok()) return gaps.status();
  const int64_t at = absl::ToUnixMillis(time);
  const auto gap = std::find_if(gaps->begin(), gaps->end(), [at](const Gap& each) {
    return each.began_unix_ms < at && at < each.ended_unix_ms;
  });
  return Past{SnapshotOf(std::move(past->state)), past->entry ? EntryJson(*past->entry) : json(),
              gap == gaps->end() ? json() : GapJson(*gap)};
}

}  // namespace

History::History(EventLoop& loop, const Options& options)
    : loop_(loop), retry_after_(options.retry_after) {
  for (auto& duration : durations_) duration = std::make_unique<Histogram>(kBounds);
}

absl::StatusOr<std::unique_ptr<History>> History::Open(EventLoop& loop, Options options) {
  std::unique_ptr<History> history(new History(loop, options));
  auto recorder = Recorder::Open(std::move(options), history->stats_);
  if (!recorder.ok()) return recorder.status();
  history->recorder_ = *std::move(recorder);
  History* self = history.get();
  EventLoop& own = self->own_loop_;
  self->retry_ = own.AddTimer([self] { self->WriteNext(); });
  self->in_order_ = own.AddTimer([self] { self->KeepInOrder(); });
  own.Post([self] {
    self->recorder_->Check();
    self->WriteAnewIfSetAside();
    self->in_order_.Start(kInOrderEvery);
  });
  self->thread_ = std::thread([self] { self->own_loop_.Run(); });
  return history;
}

History::~History() {
  own_loop_.Post([this] { WriteAlive(); });
  own_loop_.Post([this] { own_loop_.Stop(); });
  if (thread_.joinable()) thread_.join();
}

void History::Record(const Directory::Committed& now, absl::Time since) {
  RecordedCommit commit{.snapshot = now.snapshot, .keys = {}, .since = since};
  // Of the first, all names are looked at.
  if (std::exchange(recorded_, true)) {
    for (const auto* keys : {&now.changes.services, &now.changes.endpoints}) {
      for (const std::string& key : *keys) commit.keys.emplace(key, since);
    }
    if (commit.keys.empty()) return;
  }
  int64_t lost = 0;
  const bool schedule = waiting_.With([&](Waiting& waiting) {
    const bool full =
        waiting.commits.size() >= kMostCommits || waiting.keys + commit.keys.size() > kMostKeys;
    if (full && !waiting.commits.empty()) {
      RecordedCommit& last = waiting.commits.back();
      const size_t before = last.keys.size();
      lost = Merge(commit, last);
      last.snapshot = std::move(commit.snapshot);
      last.lost += lost;
      if (stats_.failing) last.why_lost = Gap::Reason::kFile;
      waiting.keys += last.keys.size() - before;
    } else {
      waiting.keys += commit.keys.size();
      waiting.commits.push_back(std::move(commit));
    }
    waiting_commits_ = waiting.commits.size();
    return !std::exchange(waiting.scheduled, true);
  });
  lost_.Add(static_cast<uint64_t>(lost));
  if (schedule) own_loop_.Post([this] { WriteNext(); });
}

// False: there is none.
bool History::TakeNext() {
  if (writing_) return true;
  waiting_.With([this](Waiting& waiting) {
    if (waiting.commits.empty()) {
      writing_ = recorder_->TakeToWriteAnew();
    } else {
      writing_ = std::move(waiting.commits.front());
      waiting.commits.pop_front();
      waiting.keys -= writing_->keys.size();
      waiting_commits_ = waiting.commits.size();
    }
    waiting.scheduled = writing_.has_value();
  });
  return writing_.has_value();
}

// In the midst of a commit, or with one that waits, it is written anyhow.
void History::WriteAnewIfSetAside() {
  if (!recorder_->has_to_write_anew()) return;
  const bool schedule =
      waiting_.With([](Waiting& waiting) { return !std::exchange(waiting.scheduled, true); });
  if (schedule) own_loop_.Post([this] { WriteNext(); });
}

void History::WriteNext() {
  if (!TakeNext()) return;
  switch (recorder_->Write(*writing_)) {
    case Recorder::Outcome::kLater:
      return retry_.Start(retry_after_);
    case Recorder::Outcome::kDone:
      writing_.reset();
      TrimNext();
      break;
    case Recorder::Outcome::kMore:
      break;
  }
  // Behind those who asked meanwhile.
  own_loop_.Post([this] { WriteNext(); });
}

void History::TrimNext() {
  if (std::exchange(trimming_, true)) return;
  own_loop_.Post([this] {
    trimming_ = false;
    if (recorder_->Trim()) TrimNext();
    WriteAnewIfSetAside();
  });
}

// What is not written yet is missing after a next start, so the gap that this shows begins before.
void History::WriteAlive() {
  if (!writing_ && waiting_commits_ == 0) recorder_->WriteAlive();
}

void History::KeepInOrder() {
  WriteAlive();
  WriteAnewIfSetAside();
  TrimNext();
  in_order_.Start(kInOrderEvery);
}

template <typename T, typename F>
void History::Ask(Query kind, Done<T> done, F answer) {
  if (asked_[kind].fetch_add(1) >= (kind == kList ? kMostLists : kMostQueries)) {
    asked_[kind].fetch_sub(1);
    return loop_.Post([done = std::move(done)] {
      done(absl::UnavailableError("too much is asked of the history at once"));
    });
  }
  const absl::Duration start = Monotonic();
  own_loop_.Post([this, kind, start, done = std::move(done), answer = std::move(answer)]() mutable {
    auto result = std::make_shared<absl::StatusOr<T>>(answer(recorder_->store()));
    durations_[kind]->Observe(absl::ToDoubleSeconds(Monotonic() - start));
    asked_[kind].fetch_sub(1);
    loop_.Post([done = std::move(done), result] { done(std::move(*result)); });
  });
}

void History::List(HistoryQuery query, Done<HistoryPage> done) {
  Ask<HistoryPage>(kList, std::move(done),
                   [query = std::move(query)](Store& store) { return ListPage(store, query); });
}

void History::At(ObjectName name, absl::Time time, Done<Past> done) {
  Ask<Past>(kAt, std::move(done),
            [name = std::move(name), time](Store& store) { return PastOf(store, name, time); });
}

void History::Hold(std::vector<Position> positions, Done<std::vector<bool>> done) {
  using Held = absl::StatusOr<std::vector<bool>>;
  Ask<std::vector<bool>>(
      kHold, std::move(done), [positions = std::move(positions)](Store& store) -> Held {
        std::vector<bool> held;
        for (const Position& position : positions) {
          const auto holds = store.Holds(position, absl::ToInt64Milliseconds(kMostApart));
          if (!holds.ok()) return holds.status();
          held.push_back(*holds);
        }
        return held;
      });
}

void History::AddMetrics(MetricFamilies& families) const {
  const auto count = [&](std::string_view name, std::string_view help, uint64_t value) {
    AddCounterSample(families, name, help, {}, static_cast<double>(value));
  };
  const auto gauge = [&](std::string_view name, std::string_view help, double value) {
    AddGaugeSample(families, name, help, {}, value);
  };
  count("portolan_history_entries_total", "Entries of the history that were written.",
        stats_.entries.value());
  count("portolan_history_lost_total",
        "Changes that are missing in the history, as it could not be written as fast.",
        lost_.value());
  count("portolan_history_write_failures_total", "Times that the history could not be written.",
        stats_.write_failures.value());
  count("portolan_history_set_aside_total", "Files of the history that were of no use.",
        stats_.set_aside.value());
  gauge("portolan_history_waiting", "Commits that are not written yet.",
        static_cast<double>(waiting_commits_.load()));
  gauge("portolan_history_in_file", "1: the history is kept in a file, 0: in memory.",
        stats_.in_file ? 1 : 0);
  gauge("portolan_history_size_bytes", "Size of the history.",
        static_cast<double>(stats_.bytes.load()));
  gauge("portolan_history_since_timestamp_seconds", "When the kept history begins.",
        static_cast<double>(stats_.since_unix_ms.load()) / 1000);
  constexpr std::string_view kWords[] = {"list", "at", "hold"};
  for (int kind = 0; kind < kQueries; ++kind) {
    AddHistogramSample(families, "portolan_history_query_duration_seconds",
                       "From a question about the history until it was answered.",
                       {{"query", kWords[kind]}}, *durations_[kind]);
  }
}

}  // namespace portolan::xds
