// Whole files, read with a bound and written so that a reader sees the old or the new, never half.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace portolan {

// An error that names the file if it cannot be read or holds more than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// Writes `content` beside `path` and renames it over `path`. The data is on the disk before the
// rename (fdatasync), so a crash leaves one whole version. On an error `path` is as it was.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content);

}  // namespace portolan
