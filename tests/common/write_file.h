// What a test puts on the disk.
#pragma once

#include <string>
#include <string_view>

#include "common/files.h"

namespace portolan {

inline absl::Status WriteFile(const std::string& path, std::string_view content) {
  ReplacingFile file(path);
  file.Append(content);
  return file.Commit();
}

}  // namespace portolan
