#include "dns/corefile/imports.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/files.h"
#include "common/status.h"

namespace portolan::dns::corefile {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxMatches = 1000;

bool IsBelow(const fs::path& path, const fs::path& root) {
  const auto [root_end, ignored] =
      std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return root_end == root.end();
}

// The real path of `path`, if it exists and lies below `root`.
absl::StatusOr<fs::path> Resolve(const fs::path& path, const std::string& root) {
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  if (error) return InvalidArgument("folder {}: {}", root, error.message());
  const fs::path real = fs::canonical(path, error);
  if (error) return NotFound("cannot import {}: {}", path.string(), error.message());
  if (!IsBelow(real, real_root)) {
    return InvalidArgument("cannot import {}: it lies outside {}", path.string(), root);
  }
  return real;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FolderImports::Match(
    std::string_view pattern, std::string_view importing_file) const {
  fs::path path(pattern);
  if (path.is_relative()) {
    const fs::path importing(importing_file);
    path = (importing.has_parent_path() ? importing.parent_path() : fs::path(root_)) / path;
  }
  const std::string name = path.filename().string();
  if (path.parent_path().string().find_first_of("*?[") != std::string::npos) {
    return InvalidArgument("import {}: a wildcard may stand in the file name only", pattern);
  }
  if (name.find_first_of("*?[") == std::string::npos) {
    auto real = Resolve(path, root_);
    if (!real.ok()) return real.status();
    return std::vector<std::string>{path.string()};
  }
  auto folder = Resolve(path.parent_path(), root_);
  if (!folder.ok()) return folder.status();
  std::vector<std::string> matches;
  std::error_code error;
  for (fs::directory_iterator it(path.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string entry = it->path().filename().string();
    if (fnmatch(name.c_str(), entry.c_str(), FNM_PERIOD) != 0) continue;
    if (!fs::is_regular_file(it->path(), error)) continue;
    matches.push_back(it->path().string());
    if (matches.size() > kMaxMatches) {
      return InvalidArgument("import {}: more than {} files match", pattern, kMaxMatches);
    }
  }
  if (error) return InvalidArgument("import {}: {}", pattern, error.message());
  std::sort(matches.begin(), matches.end());
  return matches;
}

absl::StatusOr<std::string> FolderImports::Read(const std::string& path, size_t max_bytes) const {
  auto real = Resolve(path, root_);
  if (!real.ok()) return real.status();
  return ReadFile(real->string(), max_bytes);
}

}  // namespace portolan::dns::corefile
