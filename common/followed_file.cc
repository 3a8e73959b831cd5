#include "common/followed_file.h"

#include <filesystem>
#include <utility>

#include "common/files.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan {
namespace {

std::string FolderOf(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace

FollowedFile::FollowedFile(EventLoop& loop, std::string path, size_t max_bytes,
                           std::function<void(const std::string&)> on_content)
    : path_(std::move(path)),
      name_(std::filesystem::path(path_).filename()),
      max_bytes_(max_bytes),
      on_content_(std::move(on_content)),
      watch_(loop, FolderOf(path_), FolderWatch::Means::kInotify,
             [this](const FolderWatch::Changes& changes) {
               if (!started_ || (!changes.everything && !changes.files.contains(name_))) return;
               const absl::Status read = Read();
               if (!read.ok()) log::warn("{}; its last content stays in force", Message(read));
             }) {}

absl::Status FollowedFile::Start() {
  started_ = true;
  return Read();
}

absl::Status FollowedFile::Read() {
  auto content = ReadFile(path_, max_bytes_);
  if (!content.ok()) return content.status();
  if (*content == content_) return absl::OkStatus();
  content_ = *std::move(content);
  log::info("{} read, {} bytes", path_, content_.size());
  on_content_(content_);
  return absl::OkStatus();
}

}  // namespace portolan
