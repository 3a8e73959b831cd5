// SQLite (https://www.sqlite.org/c3ref/intro.html) with lifetimes made explicit and errors as
// values.
//
// One thread at a time. Errors say what SQLite said; of their codes DataLoss means that the file is
// none of SQLite's or is damaged, PermissionDenied that it may not be opened or written,
// ResourceExhausted that the disk is full, Unavailable that another process holds it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace portolan::xds {

class Database {
 public:
  // Makes the file where there is none; an empty name: in memory.
  static absl::StatusOr<Database> Open(const std::string& file);

  // Statements whose rows, if any, are of no interest.
  absl::Status Run(const std::string& sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> Number(const std::string& sql);
  absl::StatusOr<std::string> Text(const std::string& sql);

  // Of the last INSERT.
  int64_t last_row() const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit Database(sqlite3* db) : db_(db) {}

  std::unique_ptr<sqlite3, Close> db_;
};

// Bytes, where a std::string_view is text.
struct Blob {
  std::string_view bytes;
};

// A statement that is compiled when it is first run, and then run often. Goes before its Database.
class Statement {
 public:
  Statement(Database& database, std::string sql) : db_(database.db_.get()), sql_(std::move(sql)) {}

  // One run. Its rows are valid until the next one is asked for; the next run of the Statement ends
  // it, and so does its end.
  class Rows {
   public:
    Rows(sqlite3_stmt* statement, absl::Status status)
        : statement_(statement), status_(std::move(status)) {}
    Rows(Rows&& other) noexcept;
    Rows& operator=(Rows&&) = delete;
    ~Rows();

    // False: there are no more, or none could be had, which status() tells.
    bool Next();
    const absl::Status& status() const { return status_; }

    // Of the row; columns count from 0. NULL is 0, or empty.
    bool is_null(int column) const;
    int64_t Int(int column) const;
    std::string_view Text(int column) const;
    std::string_view Bytes(int column) const;

   private:
    friend class Statement;
    sqlite3_stmt* statement_;  // null where it could not be compiled
    absl::Status status_;
  };

  // With these in the places of its question marks.
  template <typename... Values>
  Rows Query(const Values&... values) {
    Rows rows = Start();
    int place = 0;
    (Bind(rows, ++place, values), ...);
    return rows;
  }

  Rows QueryTexts(std::span<const std::string> texts);

  // For what gives no rows.
  template <typename... Values>
  absl::Status Run(const Values&... values) {
    Rows rows = Query(values...);
    rows.Next();
    return rows.status();
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  Rows Start();
  static void Bind(Rows& rows, int place, int64_t value);
  static void Bind(Rows& rows, int place, std::string_view text);
  static void Bind(Rows& rows, int place, Blob blob);

  sqlite3* db_;
  std::string sql_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// All of what happens between Begin and Commit, or nothing of it.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  absl::Status Commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}

  Database* database_;  // null: over
};

}  // namespace portolan::xds
