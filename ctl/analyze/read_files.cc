#include "ctl/analyze/read_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/document/yaml.h"
#include "common/status.h"
#include "ctl/manifest.h"

namespace portolan::ctl::analyze {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 10'000;

bool IsManifest(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

template <typename Iterator>
absl::Status ListFolder(const std::string& folder, std::vector<std::string>& files) {
  std::error_code error;
  for (Iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->is_regular_file(error) || !IsManifest(it->path())) continue;
    files.push_back(it->path());
    if (files.size() > kMaxFiles)
      return InvalidArgument("{}: more than {} files", folder, kMaxFiles);
  }
  return error ? ErrnoError(error.value(), folder) : absl::OkStatus();
}

}  // namespace

absl::Status AddText(const std::string& file, const std::string& text, Objects& objects) {
  if (text.size() > kMaxManifestBytes) {
    return InvalidArgument("{}: more than {} bytes", file, kMaxManifestBytes);
  }
  absl::Status status = ReadYaml(text, [&](const Value& value, int) {
    objects.Add(value, file);
    return absl::OkStatus();
  });
  if (status.ok()) return status;
  return InvalidArgument("{}:{}", file, Message(status));
}

absl::StatusOr<std::vector<std::string>> ListManifests(const std::vector<std::string>& paths,
                                                       Folders folders) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (path == "-" || !fs::is_directory(path, ignored)) {
      files.push_back(path);
      continue;
    }
    const size_t before = files.size();
    absl::Status status = folders == Folders::kDeep
                              ? ListFolder<fs::recursive_directory_iterator>(path, files)
                              : ListFolder<fs::directory_iterator>(path, files);
    if (!status.ok()) return status;
    if (files.size() == before) {
      return NotFound("{} holds no *.yaml, *.yml or *.json{}", path,
                      folders == Folders::kDeep ? "" : "; with -R the folders in it are read too");
    }
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
  }
  return files;
}

absl::StatusOr<Objects> ReadFiles(const std::vector<std::string>& paths, Folders folders) {
  const auto files = ListManifests(paths, folders);
  if (!files.ok()) return files.status();
  Objects objects;
  for (const std::string& file : *files) {
    const auto text = ReadManifestText(file);
    if (!text.ok()) return text.status();
    absl::Status status = AddText(file == "-" ? "standard input" : file, *text, objects);
    if (!status.ok()) return status;
  }
  return objects;
}

}  // namespace portolan::ctl::analyze
