// What the Store asks of SQLite again and again. Part of store.h.
#pragma once

#include <string>

#include "xds/history/sqlite.h"
#include "xds/history/store.h"

namespace portolan::xds {

struct Store::Statements {
  explicit Statements(Database& database);

  Statement find_name;      // namespace, name: id
  Statement add_name;       // namespace, name
  Statement name_by_id;     // id: namespace, name
  Statement remove_name;    // id, id, id: where nothing is kept of it
  Statement last_frame;     // name: entry, time, bytes
  Statement since_frame;    // name, time, entry: entries, bytes, last time
  Statement add_entry;      // id, time, name, cause, kind, slice, version, three counts, delta
  Statement entries_after;  // name, time, time, entry, entry: kEntryColumns
  Statement entry_by_id;    // id: kEntryColumns
  Statement find_change;    // name, time, time, version, cause, kind, slice: 1
  Statement oldest;         // time, most: id, time, name
  Statement remove_entry;   // id
  Statement add_frame;      // entry, name, time, state
  Statement frame_at;       // name, time, entry: entry, state, time
  Statement has_frame;      // entry
  Statement remove_frames;  // name, entry: those before it
  Statement set_fact;       // key, value
  Statement size;           // bytes of the file, and of what is free in it
};

// Of facts: when the history begins.
inline constexpr char kSince[] = "since";

inline constexpr char kEntryColumns[] =
    "e.id, e.time, e.cause, e.kind, e.slice, e.version, e.ready, e.serving, e.terminating, e.delta";
inline constexpr int kNumberOfEntryColumns = 10;

// The entry of a row that begins with kEntryColumns.
absl::StatusOr<Entry> ReadEntry(ObjectName name, const Statement::Rows& row);

}  // namespace portolan::xds
