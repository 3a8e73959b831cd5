#include "xds/history/store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/status.h"
#include "xds/history/store_statements.h"

namespace portolan::xds {
namespace {

constexpr int64_t kApplicationId = 0x504c6873;  // "PLhs"
constexpr size_t kMostEntriesWithoutFrame = 256;
constexpr size_t kFramesWorth = 4;
constexpr int64_t kMostClockBackMs = 60'000;
constexpr int64_t kSameGapMs = 10'000;
constexpr char kAlive[] = "alive";

// Nobody else may write to it while we do. Before it is first read: that saves WAL its shared
// memory.
constexpr char kLocking[] = "PRAGMA locking_mode = EXCLUSIVE";

// What is written into the file. Debian's SQLite overwrites with zeros what is deleted unless told
// not to.
constexpr char kSettings[] = R"(
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 4194304;
PRAGMA cache_size = -8000;
PRAGMA secure_delete = OFF;
)";

// Times are Unix milliseconds. `version` is a number where it is written as one (VersionNumber).
constexpr char kTables[] = R"(
CREATE TABLE names(id INTEGER PRIMARY KEY, ns TEXT NOT NULL, name TEXT NOT NULL, UNIQUE(ns, name));
CREATE TABLE entries(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, name INTEGER NOT NULL,
  cause INTEGER NOT NULL, kind INTEGER NOT NULL, slice TEXT NOT NULL, version NOT NULL,
  ready INTEGER NOT NULL, serving INTEGER NOT NULL, terminating INTEGER NOT NULL,
  delta BLOB NOT NULL);
CREATE INDEX entries_by_time ON entries(time);
CREATE INDEX entries_by_name ON entries(name, time);
CREATE TABLE frames(entry INTEGER PRIMARY KEY, name INTEGER NOT NULL, time INTEGER NOT NULL,
  state BLOB NOT NULL);
CREATE INDEX frames_by_name ON frames(name, time);
CREATE TABLE gaps(began INTEGER NOT NULL, ended INTEGER NOT NULL, lost INTEGER NOT NULL,
  reason INTEGER NOT NULL);
CREATE TABLE facts(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)";

std::string SelectEntry(const char* where) {
  return std::string("SELECT ") + kEntryColumns + " FROM entries e " + where;
}

std::string FactSql(const char* key) {
  return std::string("SELECT value FROM facts WHERE key = '") + key + "'";
}

}  // namespace

Store::Statements::Statements(Database& database)
    : find_name(database, "SELECT id FROM names WHERE ns = ? AND name = ?"),
      add_name(database, "INSERT INTO names(ns, name) VALUES(?, ?)"),
      name_by_id(database, "SELECT ns, name FROM names WHERE id = ?"),
      remove_name(database,
                  "DELETE FROM names WHERE id = ?"
                  " AND NOT EXISTS(SELECT 1 FROM entries WHERE name = ?)"
                  " AND NOT EXISTS(SELECT 1 FROM frames WHERE name = ?)"),
      last_frame(database,
                 "SELECT entry, time, LENGTH(state) FROM frames WHERE name = ?"
                 " ORDER BY time DESC, entry DESC LIMIT 1"),
      since_frame(database,
                  "SELECT COUNT(*), SUM(LENGTH(delta)), MAX(time) FROM entries"
                  " WHERE name = ? AND time >= ? AND id > ?"),
      add_entry(database, "INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      entries_after(database, SelectEntry("WHERE e.name = ? AND e.time >= ? AND e.time <= ?"
                                          " AND e.id > ? AND e.id <= ? ORDER BY e.time, e.id")),
      entry_by_id(database, SelectEntry("WHERE e.id = ?")),
      find_change(database,
                  "SELECT 1 FROM entries WHERE name = ? AND time >= ? AND time <= ?"
                  " AND version = ? AND cause = ? AND kind = ? AND slice = ? LIMIT 1"),
      oldest(database,
             "SELECT id, time, name FROM entries WHERE time < ? ORDER BY time, id LIMIT ?"),
      remove_entry(database, "DELETE FROM entries WHERE id = ?"),
      add_frame(database, "INSERT INTO frames VALUES(?, ?, ?, ?)"),
      frame_at(database,
               "SELECT entry, time, state FROM frames WHERE name = ? AND time <= ? AND entry <= ?"
               " ORDER BY time DESC, entry DESC LIMIT 1"),
      has_frame(database, "SELECT 1 FROM frames WHERE entry = ?"),
      remove_frames(database, "DELETE FROM frames WHERE name = ? AND entry < ?"),
      set_fact(database,
               "INSERT INTO facts VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value ="
               " excluded.value"),
      size(database,
           "SELECT page_count * page_size, freelist_count * page_size"
           " FROM pragma_page_count, pragma_freelist_count, pragma_page_size") {}

Store::Store(Database database)
    : database_(std::move(database)), statements_(std::make_unique<Statements>(database_)) {}

Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& file, int64_t now_unix_ms) {
  auto database = Database::Open(file);
  if (!database.ok()) return database.status();
  std::unique_ptr<Store> store(new Store(*std::move(database)));
  if (absl::Status status = store->Prepare(now_unix_ms); !status.ok()) return status;
  return store;
}

absl::Status Store::Prepare(int64_t now_unix_ms) {
  if (absl::Status status = database_.Run(kLocking); !status.ok()) return status;
  // Another program's database is left as it is.
  const auto tables = database_.Number("SELECT COUNT(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  const auto application = database_.Number("PRAGMA application_id");
  const auto schema = database_.Number("PRAGMA user_version");
  for (const auto* number : {&application, &schema}) {
    if (!number->ok()) return number->status();
  }
  if (*tables > 0 && *application != kApplicationId) {
    return absl::DataLossError("it is a database of another program");
  }
  if (*tables > 0 && *schema != kSchema) {
    return absl::DataLossError(
        fmt::format("it is of schema {}, and this program's is {}", *schema, kSchema));
  }
  if (absl::Status status = database_.Run(kSettings); !status.ok()) return status;
  return *tables == 0 ? MakeSchema(now_unix_ms) : ReadFacts(now_unix_ms);
}

absl::Status Store::MakeSchema(int64_t now_unix_ms) {
  auto transaction = Begin();
  if (!transaction.ok()) return transaction.status();
  absl::Status status = database_.Run(kTables);
  status.Update(database_.Run(fmt::format("PRAGMA application_id = {}", kApplicationId)));
  status.Update(database_.Run(fmt::format("PRAGMA user_version = {}", kSchema)));
  status.Update(SetFact(kSince, now_unix_ms));
  if (status.ok()) status = transaction->Commit();
  if (status.ok()) since_ = now_unix_ms;
  return status;
}

absl::Status Store::ReadFacts(int64_t now_unix_ms) {
  const auto since = database_.Number(FactSql(kSince));
  if (!since.ok()) return since.status();
  since_ = *since;
  const auto newest = database_.Number(
      "SELECT MAX(COALESCE((SELECT MAX(time) FROM entries), 0),"
      " COALESCE((SELECT MAX(ended) FROM gaps), 0))");
  if (!newest.ok()) return newest.status();
  const auto alive = database_.Number(FactSql(kAlive));
  if (!alive.ok() && !absl::IsNotFound(alive.status())) return alive.status();
  last_alive_ = std::max(*newest, std::max(since_, alive.value_or(0)));
  // Entries would be told of a time that is still to come.
  if (*last_alive_ > now_unix_ms + kMostClockBackMs) {
    return absl::DataLossError("its last entry is of the future: the clock was set back");
  }
  const auto last = database_.Number(
      "SELECT MAX(COALESCE((SELECT MAX(id) FROM entries), 0),"
      " COALESCE((SELECT MAX(entry) FROM frames), 0))");
  if (!last.ok()) return last.status();
  next_entry_ = *last + 1;
  return absl::OkStatus();
}

absl::Status Store::Check() {
  const auto result = database_.Text("PRAGMA quick_check(1)");
  if (!result.ok()) return result.status();
  return *result == "ok" ? absl::OkStatus() : absl::DataLossError(*result);
}

absl::Status Store::SetFact(std::string_view key, int64_t value) {
  return statements_->set_fact.Run(key, value);
}

absl::Status Store::WriteAlive(int64_t unix_ms) { return SetFact(kAlive, unix_ms); }

absl::StatusOr<std::optional<int64_t>> Store::IdOf(const ObjectName& name) {
  auto rows = statements_->find_name.Query(std::string_view(name.ns), std::string_view(name.name));
  if (rows.Next()) return rows.Int(0);
  if (!rows.status().ok()) return rows.status();
  return std::nullopt;
}

absl::StatusOr<Store::Known*> Store::Know(const ObjectName& name) {
  const std::string key = name.ToString();
  if (const auto found = names_.find(key); found != names_.end()) return &found->second;
  const auto id = IdOf(name);
  if (!id.ok()) return id.status();
  Known known;
  if (!id->has_value()) {
    const absl::Status added =
        statements_->add_name.Run(std::string_view(name.ns), std::string_view(name.name));
    if (!added.ok()) return added;
    known.id = database_.last_row();
    return &names_.emplace(key, known).first->second;
  }
  known.id = **id;
  int64_t entry = 0;
  {
    auto frame = statements_->last_frame.Query(known.id);
    if (frame.Next()) {
      entry = frame.Int(0);
      known.last_unix_ms = frame.Int(1);
      known.frame_bytes = static_cast<size_t>(frame.Int(2));
    }
    if (!frame.status().ok()) return frame.status();
  }
  auto since = statements_->since_frame.Query(known.id, known.last_unix_ms, entry);
  if (!since.Next()) return since.status();
  known.entries_since_frame = static_cast<size_t>(since.Int(0));
  known.bytes_since_frame = static_cast<size_t>(since.Int(1));
  known.last_unix_ms = std::max(known.last_unix_ms, since.Int(2));
  return &names_.emplace(key, known).first->second;
}

absl::Status Store::Write(const ObjectName& name, std::span<Entry> entries,
                          const StateView& after) {
  if (entries.empty()) return absl::OkStatus();
  const auto found = Know(name);
  if (!found.ok()) return found.status();
  Known& known = **found;
  for (Entry& entry : entries) {
    known.last_unix_ms = std::max(known.last_unix_ms, entry.position.unix_ms);
    entry.position.unix_ms = known.last_unix_ms;
    const std::string delta = entry.delta.SerializeAsString();
    if (absl::Status status = WriteEntry(known, entry, delta); !status.ok()) return status;
    ++known.entries_since_frame;
    known.bytes_since_frame += delta.size();
  }
  // Where nothing is left no frame has to tell it: with its entries the name goes.
  if (after.empty()) return absl::OkStatus();
  const bool first_seen = entries.back().position.cause == Cause::kFirstSeen;
  if (!first_seen && known.entries_since_frame < kMostEntriesWithoutFrame &&
      known.bytes_since_frame < kFramesWorth * known.frame_bytes) {
    return absl::OkStatus();
  }
  const std::string frame = EncodeState(after);
  known.entries_since_frame = 0;
  known.bytes_since_frame = 0;
  known.frame_bytes = frame.size();
  return WriteFrame(next_entry_ - 1, known.id, known.last_unix_ms, frame);
}

absl::Status Store::WriteEntry(const Known& known, const Entry& entry, const std::string& delta) {
  const Position& at = entry.position;
  const auto count = [](size_t value) { return static_cast<int64_t>(value); };
  const auto add = [&](const auto& version) {
    return statements_->add_entry.Run(next_entry_, at.unix_ms, known.id,
                                      static_cast<int64_t>(at.cause), static_cast<int64_t>(at.kind),
                                      std::string_view(at.slice), version,
                                      count(entry.endpoints.ready), count(entry.endpoints.serving),
                                      count(entry.endpoints.terminating), Blob{delta});
  };
  const auto number = VersionNumber(at.resource_version);
  absl::Status status = number ? add(*number) : add(std::string_view(at.resource_version));
  ++next_entry_;
  return status;
}

absl::Status Store::WriteFrame(int64_t entry, int64_t name_id, int64_t unix_ms,
                               std::string_view frame) {
  return statements_->add_frame.Run(entry, name_id, unix_ms, Blob{frame});
}

absl::Status Store::Write(const Gap& gap) {
  const auto reason = static_cast<int64_t>(gap.reason);
  Statement extend(database_,
                   "UPDATE gaps SET ended = ?, lost = lost + ? WHERE rowid = (SELECT MAX(rowid)"
                   " FROM gaps) AND reason = ? AND ended >= ? RETURNING 1");
  {
    auto rows = extend.Query(gap.ended_unix_ms, gap.lost, reason, gap.began_unix_ms - kSameGapMs);
    const bool extended = rows.Next();
    // It is written at its end, not at its first row.
    while (rows.Next()) {
    }
    if (extended || !rows.status().ok()) return rows.status();
  }
  Statement add(database_, "INSERT INTO gaps VALUES(?, ?, ?, ?)");
  return add.Run(gap.began_unix_ms, gap.ended_unix_ms, gap.lost, reason);
}

absl::StatusOr<Store::Size> Store::MeasureSize() {
  auto rows = statements_->size.Query();
  if (!rows.Next()) return rows.status();
  return Size{rows.Int(0), rows.Int(1)};
}

}  // namespace portolan::xds
