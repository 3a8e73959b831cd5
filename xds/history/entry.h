// An entry of the history: that an object changed, what that did to where a name leads, and why.
//
// Values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "directory/listing.h"
#include "directory/model.h"
#include "rows.pb.h"

namespace portolan::xds {

// The numbers stand in files.
enum class Cause : uint8_t {
  kServiceCreated = 1,
  kServiceEdited = 2,
  kServiceDeleted = 3,
  kPodReady = 4,
  kPodNotReady = 5,
  kPodTerminating = 6,
  kScaledUp = 7,
  kScaledDown = 8,
  kEndpointsChanged = 9,
  kSliceCreated = 10,
  kSliceDeleted = 11,
  kFirstSeen = 12,  // at the start of the program
};

// "pod-ready"
std::string_view CauseWord(Cause cause);
std::optional<Cause> ParseCause(std::string_view word);
// All words, with commas between them.
std::string CauseWords();
std::optional<Cause> CauseOf(int64_t number);

// The kind of the API object. The numbers stand in files.
enum class HistoryKind : uint8_t { kService = 1, kEndpointSlice = 2 };

// Which change of which object an entry is about: the same in every replica. The time beside it is
// when its event arrived at the one that says so, to the millisecond.
struct Position {
  int64_t unix_ms = 0;
  std::string resource_version;
  ObjectName name;  // of the Service
  HistoryKind kind = HistoryKind::kService;
  std::string slice;  // kEndpointSlice only
  Cause cause = Cause::kServiceCreated;

  // As a page's "continue".
  std::string ToToken() const;
  static std::optional<Position> FromToken(std::string_view token);

  // Which change of which object, without the time.
  std::string Change() const;
  // By time; what is of the same millisecond, by resourceVersion, which the API counts up.
  friend std::strong_ordering operator<=>(const Position& a, const Position& b);
  friend bool operator==(const Position& a, const Position& b) { return (a <=> b) == 0; }
};

// A resourceVersion as a number, where it is written as one; else nothing.
std::optional<int64_t> VersionNumber(std::string_view resource_version);

struct Entry {
  Position position;
  EndpointCounts endpoints;  // of the name, after it
  history::Delta delta;
};

// How many endpoints an entry lists, of those added, removed and changed each.
inline constexpr int kMostShown = 20;

// {"time", "namespace", "name", "cause", "summary", "object", "endpoints", "added", "removed",
// "changed"}, and "triggered" where it is known.
nlohmann::json EntryJson(const Entry& entry);

// A time as the API has it, RFC 3339; an error says what is wrong. Its years have four digits: what
// is said to be before 1970 or after 9999 would not go into milliseconds and back.
absl::StatusOr<absl::Time> ParseMoment(std::string_view text);

// What EntryJson wrote, by this replica or another: where it belongs. Nothing if it is not an
// entry.
std::optional<Position> PositionOf(const nlohmann::json& entry);

// Conditions as Delta has them.
uint32_t ConditionBits(const EndpointConditions& conditions);
EndpointConditions ConditionsOf(uint32_t bits);

}  // namespace portolan::xds
