// How the history is kept within its age and size.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/status.h"
#include "xds/history/store.h"
#include "xds/history/store_statements.h"

namespace portolan::xds {
namespace {

// Pages that one step gives back to the file system.
constexpr int kMostVacuumed = 2048;

}  // namespace

absl::StatusOr<bool> Store::Trim(int64_t before_unix_ms, int64_t max_bytes, size_t most) {
  const int64_t room = max_bytes - kBeside;
  const auto size = MeasureSize();
  if (!size.ok()) return size.status();
  const bool too_large = size->file - size->free > room;
  const auto doomed =
      Oldest(too_large ? std::numeric_limits<int64_t>::max() : before_unix_ms, most);
  if (!doomed.ok()) return doomed.status();
  if (!doomed->empty()) {
    auto transaction = Begin();
    if (!transaction.ok()) return transaction.status();
    const int64_t since = std::max(since_, doomed->back().unix_ms);
    absl::Status status = Remove(*doomed, since);
    if (status.ok()) status = transaction->Commit();
    if (!status.ok()) return status;
    since_ = since;
  }
  // What is free is written to again; only a limit that was lowered leaves more than that.
  if (size->file > max_bytes - kBeside / 2) {
    const absl::Status status =
        database_.Run(fmt::format("PRAGMA incremental_vacuum({})", kMostVacuumed));
    if (!status.ok()) return status;
  }
  return doomed->size() == most || (too_large && !doomed->empty());
}

absl::StatusOr<std::vector<Store::Doomed>> Store::Oldest(int64_t before_unix_ms, size_t most) {
  auto rows = statements_->oldest.Query(before_unix_ms, static_cast<int64_t>(most));
  std::vector<Doomed> doomed;
  while (rows.Next()) doomed.push_back({rows.Int(0), rows.Int(1), rows.Int(2)});
  if (!rows.status().ok()) return rows.status();
  return doomed;
}

absl::Status Store::Remove(const std::vector<Doomed>& doomed, int64_t since_unix_ms) {
  absl::flat_hash_map<int64_t, Doomed> last_of;  // by name
  for (const Doomed& entry : doomed) last_of[entry.name_id] = entry;
  for (const auto& [name_id, last] : last_of) {
    if (absl::Status status = Settle(last); !status.ok()) return status;
  }
  for (const Doomed& entry : doomed) {
    if (absl::Status status = statements_->remove_entry.Run(entry.id); !status.ok()) return status;
  }
  for (const auto& [id, last] : last_of) {
    if (absl::Status status = statements_->remove_name.Run(id, id, id); !status.ok()) return status;
  }
  Statement remove_gaps(database_, "DELETE FROM gaps WHERE ended < ?");
  if (absl::Status status = remove_gaps.Run(since_unix_ms); !status.ok()) return status;
  return SetFact(kSince, since_unix_ms);
}

// What the name is after the last entry that goes becomes a frame, in the place of earlier ones.
absl::Status Store::Settle(const Doomed& last) {
  ObjectName name;
  {
    auto rows = statements_->name_by_id.Query(last.name_id);
    if (!rows.Next()) return rows.status();
    name = {std::string(rows.Text(0)), std::string(rows.Text(1))};
  }
  bool framed = false;
  {
    auto rows = statements_->has_frame.Query(last.id);
    framed = rows.Next();
    if (!rows.status().ok()) return rows.status();
  }
  if (!framed) {
    auto past = StateAt(name, last.name_id, last.unix_ms, last.id);
    // A damaged row goes as the others do; until its next frame the name cannot be told.
    if (absl::IsInvalidArgument(past.status())) past = PastState();
    if (!past.ok()) return past.status();
    if (!past->state.empty()) {
      const auto snapshot = SnapshotOf(std::move(past->state));
      const std::string frame = EncodeState(StateIn(*snapshot, name.ToString()));
      absl::Status status = WriteFrame(last.id, last.name_id, last.unix_ms, frame);
      if (!status.ok()) return status;
    }
  }
  names_.erase(name.ToString());
  return statements_->remove_frames.Run(last.name_id, last.id);
}

}  // namespace portolan::xds
