#include "xds/history/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/time/time.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

// Another process that only looks (sqlite3, a backup) is soon done.
constexpr int kBusyMs = 500;

absl::StatusCode CodeOf(int result) {
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
      return absl::StatusCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status Error(sqlite3* db, int result) {
  std::string text = fmt::format("SQLite: {} ({})", sqlite3_errmsg(db), result);
  const int why = sqlite3_system_errno(db);
  const bool of_file = (result & 0xff) == SQLITE_CANTOPEN || (result & 0xff) == SQLITE_IOERR;
  if (of_file && why != 0) text = Message(ErrnoError(why, text));
  return absl::Status(CodeOf(result), text);
}

// A null pointer would be NULL, and not empty.
const char* NotNull(std::string_view bytes) { return bytes.data() == nullptr ? "" : bytes.data(); }

}  // namespace

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

absl::StatusOr<Database> Database::Open(const std::string& file) {
  sqlite3* db = nullptr;
  // "./", as Debian's SQLite takes "file:..." for a URI.
  const std::string name = file.empty() ? ":memory:" : (file.front() == '/' ? "" : "./") + file;
  const int result = sqlite3_open_v2(
      name.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(db);  // there is one after a failure too
  if (result != SQLITE_OK) return Error(db, result);
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMs);
  return database;
}

absl::Status Database::Run(const std::string& sql) {
  const int result = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : Error(db_.get(), result);
}

absl::StatusOr<int64_t> Database::Number(const std::string& sql) {
  Statement statement(*this, sql);
  auto rows = statement.Query();
  if (rows.Next()) return rows.Int(0);
  return rows.status().ok() ? absl::NotFoundError(sql) : rows.status();
}

absl::StatusOr<std::string> Database::Text(const std::string& sql) {
  Statement statement(*this, sql);
  auto rows = statement.Query();
  if (rows.Next()) return std::string(rows.Text(0));
  return rows.status().ok() ? absl::NotFoundError(sql) : rows.status();
}

int64_t Database::last_row() const { return sqlite3_last_insert_rowid(db_.get()); }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Rows Statement::Start() {
  if (statement_ != nullptr) return Rows(statement_.get(), absl::OkStatus());
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(db_, sql_.c_str(), static_cast<int>(sql_.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return Rows(nullptr, Error(db_, result));
  statement_.reset(statement);
  return Rows(statement, absl::OkStatus());
}

Statement::Rows::Rows(Rows&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), status_(std::move(other.status_)) {}

Statement::Rows::~Rows() {
  if (statement_ != nullptr) sqlite3_reset(statement_);
}

bool Statement::Rows::Next() {
  if (!status_.ok()) return false;
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) status_ = Error(sqlite3_db_handle(statement_), result);
  return false;
}

bool Statement::Rows::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int64_t Statement::Rows::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::Rows::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::Rows::Bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

Statement::Rows Statement::QueryTexts(std::span<const std::string> texts) {
  Rows rows = Start();
  int place = 0;
  for (const std::string& text : texts) Bind(rows, ++place, std::string_view(text));
  return rows;
}

void Statement::Bind(Rows& rows, int place, int64_t value) {
  if (rows.statement_ == nullptr) return;
  const int result = sqlite3_bind_int64(rows.statement_, place, value);
  if (result != SQLITE_OK) rows.status_ = Error(sqlite3_db_handle(rows.statement_), result);
}

void Statement::Bind(Rows& rows, int place, std::string_view text) {
  if (rows.statement_ == nullptr) return;
  const int result = sqlite3_bind_text64(rows.statement_, place, NotNull(text), text.size(),
                                         SQLITE_TRANSIENT, SQLITE_UTF8);
  if (result != SQLITE_OK) rows.status_ = Error(sqlite3_db_handle(rows.statement_), result);
}

void Statement::Bind(Rows& rows, int place, Blob blob) {
  if (rows.statement_ == nullptr) return;
  const int result = sqlite3_bind_blob64(rows.statement_, place, NotNull(blob.bytes),
                                         blob.bytes.size(), SQLITE_TRANSIENT);
  if (result != SQLITE_OK) rows.status_ = Error(sqlite3_db_handle(rows.statement_), result);
}

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  if (absl::Status status = database.Run("BEGIN IMMEDIATE"); !status.ok()) return status;
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  // Where SQLite has rolled back by itself this fails, and nothing is lost.
  if (database_ != nullptr) (void)database_->Run("ROLLBACK");
}

absl::Status Transaction::Commit() {
  // After a failure (the disk is full) it is still open, and rolled back by the destructor.
  absl::Status status = database_->Run("COMMIT");
  if (status.ok()) database_ = nullptr;
  return status;
}

}  // namespace portolan::xds
