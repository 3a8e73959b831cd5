#include "xds/history/recorder.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "xds/history/compare.h"

namespace portolan::xds {
namespace {

// Names, and entries that are removed, in one transaction: a few milliseconds.
constexpr size_t kNamesAtOnce = 200;
constexpr size_t kRemovedAtOnce = 500;
// Of the last kept states that a first commit is compared with, which have to be read.
constexpr size_t kReadAtOnce = 50;

int64_t Now(const HistoryOptions& options) { return absl::ToUnixMillis(options.now()); }

// Moves the file and what SQLite keeps beside it out of the way.
absl::Status MoveAside(const HistoryOptions& options, const absl::Status& why) {
  const std::string aside = options.file + ".corrupt-" +
                            absl::FormatTime("%Y%m%dT%H%M%SZ", options.now(), absl::UTCTimeZone());
  std::error_code error;
  std::filesystem::rename(options.file, aside, error);
  if (error) return ErrnoError(error.value(), "rename " + options.file + " to " + aside);
  for (const char* suffix : {"-wal", "-shm"}) {
    std::error_code absent;
    std::filesystem::rename(options.file + suffix, aside + suffix, absent);
  }
  log::error("history: {} is of no use: {}; it is set aside as {}, and a new one is begun",
             options.file, Message(why), aside);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Store>> InMemory(const HistoryOptions& options,
                                                const absl::Status& why, Recorder::Stats& stats) {
  stats.in_file = false;
  log::error("history: {}: {}; it is kept in memory until the next start", options.file,
             Message(why));
  return Store::Open("", Now(options));
}

absl::StatusOr<std::unique_ptr<Store>> OpenStore(const HistoryOptions& options,
                                                 Recorder::Stats& stats) {
  std::error_code absent;
  if (std::filesystem::is_directory(options.file, absent)) {
    return InvalidArgument("--history-db {}: a file is needed, and it is a directory",
                           options.file);
  }
  auto store = Store::Open(options.file, Now(options));
  if (absl::IsDataLoss(store.status())) {
    if (absl::Status moved = MoveAside(options, store.status()); !moved.ok()) return moved;
    stats.set_aside.Add();
    store = Store::Open(options.file, Now(options));
  }
  if (absl::IsUnavailable(store.status()) || absl::IsResourceExhausted(store.status())) {
    return InMemory(options, store.status(), stats);
  }
  if (!store.ok()) {
    return FailedPrecondition("--history-db {}: {}", options.file, Message(store.status()));
  }
  stats.in_file = !options.file.empty();
  return store;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Recorder>> Recorder::Open(HistoryOptions options, Stats& stats) {
  auto store = OpenStore(options, stats);
  if (!store.ok()) return store.status();
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(options), *std::move(store), stats));
  recorder->ShowState();
  return recorder;
}

void Recorder::ShowState() {
  if (const auto size = store_->MeasureSize(); size.ok()) stats_.bytes = size->file;
  stats_.since_unix_ms = store_->since_unix_ms();
}

void Recorder::Check() {
  const absl::Status status = store_->Check();
  if (!status.ok()) Failed(status);
}

void Recorder::Failed(const absl::Status& status) {
  stats_.write_failures.Add();
  store_->Forget();
  if (absl::IsDataLoss(status)) return SetAside(status);
  if (!stats_.failing.exchange(true)) {
    log::error("history: {} cannot be written: {}; trying again", options_.file, Message(status));
  }
}

void Recorder::SetAside(const absl::Status& why) {
  store_.reset();
  absl::Status moved;
  if (stats_.in_file) moved = MoveAside(options_, why);
  auto store = moved.ok() && stats_.in_file ? Store::Open(options_.file, Now(options_))
                                            : InMemory(options_, moved.ok() ? why : moved, stats_);
  if (!store.ok()) store = InMemory(options_, store.status(), stats_);
  stats_.set_aside.Add();
  // In memory there is always one.
  store_ = *std::move(store);
  if (written_ != nullptr) to_write_anew_ = std::exchange(written_, nullptr);
  begun_ = false;
  ShowState();
}

std::optional<RecordedCommit> Recorder::TakeToWriteAnew() {
  if (to_write_anew_ == nullptr) return std::nullopt;
  return RecordedCommit{
      .snapshot = std::exchange(to_write_anew_, nullptr), .keys = {}, .since = options_.now()};
}

Recorder::Outcome Recorder::Write(const RecordedCommit& commit) {
  absl::Status status = begun_ ? absl::OkStatus() : Begin(commit);
  if (status.ok()) status = WriteSome(commit);
  if (!status.ok()) {
    Failed(status);
    return Outcome::kLater;
  }
  if (stats_.failing.exchange(false)) log::info("history: {} is written again", options_.file);
  if (next_ < keys_.size()) return Outcome::kMore;
  written_ = commit.snapshot;
  to_write_anew_ = nullptr;
  begun_ = false;
  return Outcome::kDone;
}

absl::Status Recorder::Begin(const RecordedCommit& commit) {
  absl::btree_map<std::string, absl::Time> keys = commit.keys;
  if (written_ == nullptr) {
    const auto add = [&](const std::string& key) { keys.emplace(key, commit.since); };
    const auto names = store_->Names();
    if (!names.ok()) return names.status();
    for (const ObjectName& name : *names) add(name.ToString());
    commit.snapshot->ForEachService([&](const Service& s) { add(s.name.ToString()); });
    commit.snapshot->ForEachSliceSet([&](const std::string& key, const SliceSet&) { add(key); });
  }
  if (absl::Status status = WriteGap(commit); !status.ok()) return status;
  keys_.assign(keys.begin(), keys.end());
  next_ = 0;
  begun_ = true;
  return absl::OkStatus();
}

absl::Status Recorder::WriteGap(const RecordedCommit& commit) {
  Gap gap{.ended_unix_ms = Now(options_), .lost = commit.lost};
  if (written_ == nullptr && store_->last_alive_unix_ms()) {
    gap.began_unix_ms = *store_->last_alive_unix_ms();
    gap.reason = Gap::Reason::kNotRunning;
  } else if (commit.lost > 0) {
    gap.began_unix_ms = absl::ToUnixMillis(commit.since);
    gap.reason = commit.why_lost;
  } else {
    return absl::OkStatus();
  }
  return store_->Write(gap);
}

absl::StatusOr<std::vector<Entry>> Recorder::EntriesOf(const ObjectName& name,
                                                       const StateView& after, absl::Time since) {
  if (written_ != nullptr) {
    return Compare(name, StateIn(*written_, name.ToString()), after, since);
  }
  auto latest = store_->Latest(name);
  if (absl::IsInvalidArgument(latest.status())) {
    log::error("history: of {}: {}; it is begun anew", name.ToString(), Message(latest.status()));
    latest = NameState();
  }
  if (!latest.ok()) return latest.status();
  if (!latest->empty()) {
    const auto before = SnapshotOf(*std::move(latest));
    return Compare(name, StateIn(*before, name.ToString()), after, since);
  }
  if (after.empty()) return std::vector<Entry>();
  return std::vector<Entry>{FirstSeen(name, after, since)};
}

absl::Status Recorder::WriteSome(const RecordedCommit& commit) {
  const size_t end =
      std::min(keys_.size(), next_ + (written_ == nullptr ? kReadAtOnce : kNamesAtOnce));
  auto transaction = store_->Begin();
  if (!transaction.ok()) return transaction.status();
  size_t written = 0;
  for (size_t at = next_; at < end; ++at) {
    const auto& [key, when] = keys_[at];
    const ObjectName name = NameOf(key);
    const StateView after = StateIn(*commit.snapshot, key);
    auto entries = EntriesOf(name, after, when);
    if (!entries.ok()) return entries.status();
    if (absl::Status status = store_->Write(name, *entries, after); !status.ok()) return status;
    written += entries->size();
  }
  if (absl::Status status = transaction->Commit(); !status.ok()) return status;
  next_ = end;
  stats_.entries.Add(written);
  return absl::OkStatus();
}

bool Recorder::Trim() {
  const int64_t before = Now(options_) - absl::ToInt64Milliseconds(options_.max_age);
  const auto more = store_->Trim(before, options_.max_bytes, kRemovedAtOnce);
  if (!more.ok()) Failed(more.status());
  ShowState();
  return more.ok() && *more;
}

void Recorder::WriteAlive() {
  const absl::Status status = store_->WriteAlive(Now(options_));
  if (!status.ok()) Failed(status);
}

}  // namespace portolan::xds
