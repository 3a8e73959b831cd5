// Where the Corefile's `import` finds files. A seam: tests and the control plane's Corefile, which
// has no folder, bring their own or none. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace portolan::dns::corefile {

class ImportSource {
 public:
  virtual ~ImportSource() = default;

  // The files that `pattern` names, sorted. Relative patterns start in the folder of
  // `importing_file`. A pattern without a wildcard whose file is missing is an error; a wildcard
  // that matches nothing is an empty list.
  virtual absl::StatusOr<std::vector<std::string>> Match(std::string_view pattern,
                                                         std::string_view importing_file) const = 0;

  virtual absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes) const = 0;
};

// Files below one folder. A path that leads out of it, also by "..", a symbolic link or an absolute
// path, is an error: a Corefile must not read the rest of the file system.
class FolderImports : public ImportSource {
 public:
  explicit FolderImports(std::string root) : root_(std::move(root)) {}

  absl::StatusOr<std::vector<std::string>> Match(std::string_view pattern,
                                                 std::string_view importing_file) const override;
  absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes) const override;

 private:
  std::string root_;
};

}  // namespace portolan::dns::corefile
