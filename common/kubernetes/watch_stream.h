// The events of a watch out of its bytes: one JSON object a line, however the bytes were cut
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
//
// One thread; nothing is thrown. A line of any length passes through, but no more of it is kept
// than kMaxJsonBytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/document/json.h"

namespace portolan {

struct WatchEvent {
  enum class Type : uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };

  Type type = Type::kAdded;
  // A Status for kError. For kBookmark it has a resourceVersion and little else.
  std::shared_ptr<const Value> object;

  // metadata.resourceVersion; empty if there is none.
  std::string resource_version() const;
  // Of a bookmark: all that was there when a streaming list began has been sent.
  bool ends_initial_events() const;
};

std::string_view EventName(WatchEvent::Type type);

// What is read of an event whose object is read so (`of_object`; none: all of it): the Status of an
// ERROR and the metadata that a watch lives by are part of it, whatever it says.
std::vector<WantedField> EventFields(std::vector<WantedField> of_object);

// An event out of its line; `wanted` by EventFields, none: all.
absl::StatusOr<WatchEvent> ReadEvent(JsonReader& reader, std::string& line,
                                     const std::vector<WantedField>& wanted);

// "default/backend", as far as it can be made out of text that may be no JSON; else empty.
std::string GuessName(std::string_view text);

class LineSplitter {
 public:
  // Calls on_line(std::string& line) for each line that is whole now; it may spoil the line. Stops
  // when that returns false; what follows is forgotten, and nothing more may be given. A line that
  // is too long comes as its first kMaxJsonBytes + 1 bytes. Empty lines are left out.
  template <typename F>
  void Take(std::string_view bytes, F&& on_line) {
    for (;;) {
      const size_t end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      line_.append(piece.substr(0, kMaxJsonBytes + 1 - line_.size()));
      if (end == std::string_view::npos) return;
      if (!line_.empty() && !on_line(line_)) return;
      line_.clear();
      if (line_.capacity() > kKept) line_.shrink_to_fit();
      bytes.remove_prefix(end + 1);
    }
  }

  // Bytes after the last line feed: nothing of use once the stream has ended.
  size_t unfinished() const { return line_.size(); }

 private:
  static constexpr size_t kKept = 1u << 20;
  std::string line_;
};

}  // namespace portolan
