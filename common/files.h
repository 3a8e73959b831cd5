// Whole files, read with a bound and written so that a reader sees the old or the new, never half.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/fd.h"

namespace portolan {

// An error that names the file if it cannot be read or holds more than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// A file written piece by piece beside `path`, as PATH.next, and then renamed over it. The data is
// on the disk before the rename (fdatasync), so a crash leaves one whole version. Without a Commit
// that is ok, `path` is as it was. One thread.
class ReplacingFile {
 public:
  explicit ReplacingFile(std::string path);
  ~ReplacingFile();
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;

  // False once something failed: Commit says what.
  bool Append(std::string_view bytes);
  // In the place of the first bytes.
  bool Overwrite(std::string_view bytes);
  absl::Status Commit();

 private:
  bool WriteAt(size_t offset, std::string_view bytes);

  const std::string path_;
  const std::string next_;
  Fd fd_;
  size_t size_ = 0;
  absl::Status status_;
  bool committed_ = false;
};

}  // namespace portolan
