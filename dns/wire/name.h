// Domain names: between the text that people write and the bytes of a message.
//
// RFC 1035 2.3.4 (63 bytes a label, 255 a name), 5.1 (\DDD and \X escapes), RFC 4343 (case). A wire
// name is length-prefixed labels with the root label, uncompressed. The functions that return a
// std::string are for configuration and logs; the others allocate nothing. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dns/wire/query.h"

namespace portolan::dns::wire {

inline constexpr size_t kMaxLabelBytes = 63;
// Of a name's text when every byte is escaped.
inline constexpr size_t kMaxNameTextBytes = 4 * kMaxNameBytes;

// "a.Example." -> wire form with the case as written. The final dot may be missing; "." is the
// root. An error says which limit or escape is wrong.
absl::StatusOr<std::string> NameToWire(std::string_view text);

// Wire form -> "a.Example.", with everything that is not printable, and dots and backslashes within
// labels, escaped. "(bad name)" if the bytes are no uncompressed name.
std::string NameToText(std::span<const uint8_t> name);
// The same without an allocation. REQUIRES: out.size() >= kMaxNameTextBytes. Returns the length.
size_t WriteNameText(std::span<const uint8_t> name, std::span<char> out);
inline std::string NameToText(std::string_view wire) {
  return NameToText({reinterpret_cast<const uint8_t*>(wire.data()), wire.size()});
}

// ASCII letters to lower case; length bytes stay, since they are below 'A'.
void LowerName(std::span<uint8_t> name);
void LowerName(std::string& wire);

// Room for any name.
struct NameBuffer {
  std::array<uint8_t, kMaxNameBytes + 1> bytes;
  uint8_t size = 0;

  std::span<const uint8_t> view() const { return {bytes.data(), size}; }
};

// Room for any name as text: at worst every byte is an escape.
struct TextBuffer {
  std::array<char, 4 * kMaxNameBytes> chars;
  size_t size = 0;

  std::string_view view() const { return {chars.data(), size}; }
  // False, and nothing is added, where there is no room.
  bool Append(std::string_view text);
};

// What NameToText and NameToWire do, for the hot path. `name` is well formed; ReadText is false
// where NameToWire has an error.
void WriteText(std::span<const uint8_t> name, TextBuffer& out);
bool ReadText(std::string_view text, NameBuffer& out);

// Reads the name at `at` in `message`, following compression pointers (RFC 1035 4.1.4; each must
// lead further back, so it ends). Returns where the name ends in the message, or 0 if it is
// malformed.
size_t ReadName(std::span<const uint8_t> message, size_t at, NameBuffer& out);

// Where the name at `at` ends, or 0 if it runs past the message. Pointers are stepped over, not
// followed.
size_t SkipName(std::span<const uint8_t> message, size_t at);

// Makes `name`, which is well formed, the name of `query`, in lower case.
void SetName(std::span<const uint8_t> name, Query& query);

// A zone that a server block or a plugin is responsible for.
struct Zone {
  std::string wire;  // lower case, with the root label
  std::string text;  // lower case, with the final dot, as metrics show it: "cluster.local."
  uint8_t labels = 0;

  // "cluster.local", "Cluster.Local.", ".".
  static absl::StatusOr<Zone> Parse(std::string_view text);

  // True if the name asked is the zone's own or below it.
  bool Holds(const Query& query) const {
    if (labels == 0) return true;  // the root holds all, and most server blocks are for it
    return query.labels >= labels && SuffixIs(query, query.labels - labels);
  }

 private:
  bool SuffixIs(const Query& query, size_t first_label) const {
    const size_t at = query.label_at[first_label];
    return query.name_bytes - at == wire.size() &&
           __builtin_memcmp(query.name.data() + at, wire.data(), wire.size()) == 0;
  }
};

inline bool AnyHolds(std::span<const Zone> zones, const Query& query) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const Zone& zone) { return zone.Holds(query); });
}

}  // namespace portolan::dns::wire
