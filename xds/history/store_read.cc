// What is read back out of the file.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "common/status.h"
#include "xds/history/store.h"
#include "xds/history/store_statements.h"

namespace portolan::xds {
namespace {

constexpr int64_t kLatest = std::numeric_limits<int64_t>::max();

// As Position is ordered.
constexpr char kNewestFirst[] =
    " ORDER BY e.time DESC, e.version DESC, n.ns DESC, n.name DESC, e.kind DESC, e.slice DESC,"
    " e.cause DESC";

// The SELECT for a query: what is text in it stands in `texts`, for its question marks.
class ListSql {
 public:
  explicit ListSql(const HistoryQuery& query) {
    sql_ = fmt::format(
        "SELECT {}, n.ns, n.name FROM entries e CROSS JOIN names n ON n.id = e.name"
        " WHERE e.time >= {} AND e.time <= {}",
        kEntryColumns, query.since_unix_ms.value_or(0), Until(query));
    if (query.cause) sql_ += fmt::format(" AND e.cause = {}", static_cast<int>(*query.cause));
    if (!query.ns.empty()) sql_ += " AND n.ns = " + Text(query.ns);
    if (!query.name.empty()) sql_ += " AND n.name = " + Text(query.name);
    if (query.before) AddBefore(*query.before);
  }

  void OfName(int64_t id) { sql_ += fmt::format(" AND e.name = {}", id); }

  std::string Finish(size_t limit) const {
    return fmt::format("{}{} LIMIT {}", sql_, kNewestFirst, limit);
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  static int64_t Until(const HistoryQuery& query) {
    const int64_t until = query.until_unix_ms.value_or(kLatest);
    return query.before ? std::min(until, query.before->unix_ms) : until;
  }

  void AddBefore(const Position& before) {
    const auto version = VersionNumber(before.resource_version);
    sql_ += fmt::format(
        " AND (e.time, e.version, n.ns, n.name, e.kind, e.slice, e.cause) < ({}, {}, {}, {}, {},"
        " {}, {})",
        before.unix_ms, version ? std::to_string(*version) : Text(before.resource_version),
        Text(before.name.ns), Text(before.name.name), static_cast<int>(before.kind),
        Text(before.slice), static_cast<int>(before.cause));
  }

  std::string Text(const std::string& text) {
    texts_.push_back(text);
    return "?" + std::to_string(texts_.size());
  }

  std::string sql_;
  std::vector<std::string> texts_;
};

}  // namespace

absl::StatusOr<Entry> ReadEntry(ObjectName name, const Statement::Rows& row) {
  Entry entry;
  const auto cause = CauseOf(row.Int(2));
  if (!cause) return InvalidArgument("the kept history is damaged: an unknown cause");
  entry.position = {row.Int(1),
                    std::string(row.Text(5)),
                    std::move(name),
                    row.Int(3) == static_cast<int64_t>(HistoryKind::kEndpointSlice)
                        ? HistoryKind::kEndpointSlice
                        : HistoryKind::kService,
                    std::string(row.Text(4)),
                    *cause};
  const auto count = [&row](int column) { return static_cast<size_t>(row.Int(column)); };
  entry.endpoints = {count(6), count(7), count(8)};
  auto delta = DecodeDelta(row.Bytes(9));
  if (!delta.ok()) return delta.status();
  entry.delta = *std::move(delta);
  return entry;
}

absl::StatusOr<bool> Store::KnowsNamespace(const std::string& ns) {
  Statement statement(database_, "SELECT 1 FROM names WHERE ns = ? LIMIT 1");
  auto rows = statement.Query(std::string_view(ns));
  const bool knows = rows.Next();
  if (!rows.status().ok()) return rows.status();
  return knows;
}

absl::StatusOr<EntryPage> Store::List(const HistoryQuery& query) {
  ListSql sql(query);
  if (!query.ns.empty() && !query.name.empty()) {
    const auto id = IdOf({query.ns, query.name});
    if (!id.ok()) return id.status();
    if (!id->has_value()) return EntryPage();
    sql.OfName(**id);
  } else if (!query.ns.empty()) {
    // All entries would be read to find none.
    const auto knows = KnowsNamespace(query.ns);
    if (!knows.ok()) return knows.status();
    if (!*knows) return EntryPage();
  }
  Statement statement(database_, sql.Finish(query.limit + 1));
  auto rows = statement.QueryTexts(sql.texts());
  EntryPage page;
  for (size_t row = 0; rows.Next(); ++row) {
    if (row == query.limit) {
      page.more = true;
      return page;
    }
    auto entry = ReadEntry({std::string(rows.Text(kNumberOfEntryColumns)),
                            std::string(rows.Text(kNumberOfEntryColumns + 1))},
                           rows);
    if (!entry.ok()) continue;  // of a damaged row nothing can be shown: the page is shorter
    page.entries.push_back(*std::move(entry));
  }
  if (!rows.status().ok()) return rows.status();
  return page;
}

absl::StatusOr<PastState> Store::StateAt(const ObjectName& name, int64_t name_id, int64_t unix_ms,
                                         int64_t entry) {
  PastState past;
  int64_t frame = 0;
  int64_t since = 0;
  {
    auto rows = statements_->frame_at.Query(name_id, unix_ms, entry);
    if (rows.Next()) {
      frame = rows.Int(0);
      since = rows.Int(1);
      auto state = DecodeState(name, rows.Bytes(2));
      if (!state.ok()) return state.status();
      past.state = *std::move(state);
    }
    if (!rows.status().ok()) return rows.status();
  }
  auto rows = statements_->entries_after.Query(name_id, since, unix_ms, frame, entry);
  while (rows.Next()) {
    auto next = ReadEntry(name, rows);
    if (!next.ok()) return next.status();
    if (absl::Status status = Apply(*next, past.state); !status.ok()) return status;
    past.entry = *std::move(next);
  }
  if (!rows.status().ok()) return rows.status();
  if (past.entry) return past;
  auto own = statements_->entry_by_id.Query(frame);
  if (own.Next()) {
    auto read = ReadEntry(name, own);
    if (!read.ok()) return read.status();
    past.entry = *std::move(read);
  }
  if (!own.status().ok()) return own.status();
  return past;
}

absl::StatusOr<PastState> Store::At(const ObjectName& name, int64_t unix_ms) {
  if (unix_ms < since_) {
    return NotFound("history begins at {}",
                    absl::FormatTime(absl::FromUnixMillis(since_), absl::UTCTimeZone()));
  }
  const auto id = IdOf(name);
  if (!id.ok()) return id.status();
  if (!id->has_value()) return NotFound("no Service {} is in the kept history", name.ToString());
  return StateAt(name, **id, unix_ms, kLatest);
}

absl::StatusOr<NameState> Store::Latest(const ObjectName& name) {
  const auto id = IdOf(name);
  if (!id.ok()) return id.status();
  if (!id->has_value()) return NameState();
  auto past = StateAt(name, **id, kLatest, kLatest);
  if (!past.ok()) return past.status();
  return std::move(past->state);
}

absl::StatusOr<std::vector<ObjectName>> Store::Names() {
  Statement statement(database_, "SELECT ns, name FROM names");
  auto rows = statement.Query();
  std::vector<ObjectName> names;
  while (rows.Next()) names.push_back({std::string(rows.Text(0)), std::string(rows.Text(1))});
  if (!rows.status().ok()) return rows.status();
  return names;
}

absl::StatusOr<bool> Store::Holds(const Position& position, int64_t around_ms) {
  if (position.unix_ms + around_ms < since_) return false;
  const auto name = IdOf(position.name);
  if (!name.ok()) return name.status();
  if (!name->has_value()) return false;
  const auto find = [&](const auto& version) {
    return statements_->find_change.Query(
        **name, position.unix_ms - around_ms, position.unix_ms + around_ms, version,
        static_cast<int64_t>(position.cause), static_cast<int64_t>(position.kind),
        std::string_view(position.slice));
  };
  const auto number = VersionNumber(position.resource_version);
  auto rows = number ? find(*number) : find(std::string_view(position.resource_version));
  const bool holds = rows.Next();
  if (!rows.status().ok()) return rows.status();
  return holds;
}

absl::StatusOr<std::vector<Gap>> Store::Gaps() {
  Statement statement(database_,
                      "SELECT began, ended, lost, reason FROM gaps ORDER BY ended DESC LIMIT 100");
  auto rows = statement.Query();
  std::vector<Gap> gaps;
  while (rows.Next()) {
    const auto reason = static_cast<Gap::Reason>(
        std::clamp<int64_t>(rows.Int(3), 1, static_cast<int64_t>(Gap::Reason::kFile)));
    gaps.push_back({rows.Int(0), rows.Int(1), rows.Int(2), reason});
  }
  if (!rows.status().ok()) return rows.status();
  return gaps;
}

}  // namespace portolan::xds
