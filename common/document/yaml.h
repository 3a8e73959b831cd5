// YAML text to Values, one per document, by yaml-cpp's event parser.
//
// Bounded against hostile text: depth (500, yaml-cpp's own guard), and the number of values with
// every alias counted as if it were written out, so that "alias bombs" end in an error and not in
// memory. Anchors, aliases and merge keys (<<) work. A key that stands twice in a map is an error,
// as with the API server. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/document/value.h"

namespace portolan {

// With aliases written out. A 16 MB file of ordinary manifests holds some 1.5 million.
inline constexpr size_t kMaxYamlValues = 4'000'000;

// Calls on_document(value, index) for each document that is not empty; the index counts the others
// too, from 1. Stops at the first error, of the text or of on_document. Errors of the text read
// "LINE: what".
absl::Status ReadYaml(const std::string& text,
                      const std::function<absl::Status(const Value&, int)>& on_document);

}  // namespace portolan
