// Kubernetes objects in a file, YAML or JSON, of which some are to be changed: what is not changed
// is written as it was read, byte for byte.
//
// Values, one thread; nothing is thrown. At most kMaxManifestBytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/document/value.h"

namespace portolan::ctl {

using ValuePtr = std::shared_ptr<const Value>;

inline constexpr size_t kMaxManifestBytes = 8u << 20;

struct ManifestDocument {
  std::string text;      // with the "---" in front of it, if there is one
  ValuePtr value;        // nullptr: nothing but comments
  int lines_before = 0;  // where it stands in the file
};

struct Manifest {
  bool json = false;
  std::vector<ManifestDocument> documents;
};

// The text of a file, "-": of standard input. Standard input may give more than kMaxManifestBytes,
// which ReadManifest refuses.
absl::StatusOr<std::string> ReadManifestText(const std::string& file);

// JSON where it is JSON throughout, else YAML. An error reads "LINE: what".
absl::StatusOr<Manifest> ReadManifest(const std::string& text);

// A Value as YAML, without "---" and the last newline; kAscii: other letters are escaped.
enum class Letters : uint8_t { kAll, kAscii };
std::string YamlOf(const Value& value, Letters letters);

// The text of a document whose value is `changed` now. YAML keeps plain and quoted scalars as they
// were and the comments above the object; those inside it are lost. JSON keeps its indentation.
absl::StatusOr<std::string> Rewritten(const Manifest& manifest, const ManifestDocument& document,
                                      const Value& changed);

}  // namespace portolan::ctl
