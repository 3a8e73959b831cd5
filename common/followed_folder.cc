#include "common/followed_folder.h"

#include <utility>
#include <vector>

#include "common/files.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan {

FollowedFolder::FollowedFolder(EventLoop& loop, std::string folder, size_t max_bytes,
                               OnFile on_file)
    : folder_(std::move(folder)),
      max_bytes_(max_bytes),
      on_file_(std::move(on_file)),
      watch_(loop, folder_, FolderWatch::Means::kInotify, [this](const FolderWatch::Changes&) {
        if (!started_) return;
        const absl::Status read = ReadAll();
        if (!read.ok()) log::warn("{}; its last content stays in force", Message(read));
      }) {}

absl::Status FollowedFolder::Start() {
  started_ = true;
  return ReadAll();
}

// The first error, once all that can be read is.
absl::Status FollowedFolder::ReadAll() {
  const auto files = ListFolder(folder_);
  if (!files.has_value()) return absl::NotFoundError(folder_ + ": no such folder");
  std::vector<std::string> gone;
  for (const auto& [name, content] : contents_) {
    if (!files->contains(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    contents_.erase(name);
    log::info("{}/{} is gone", folder_, name);
    on_file_(name, std::nullopt);
  }
  absl::Status status;
  for (const auto& [name, stamp] : *files) status.Update(Read(name));
  return status;
}

absl::Status FollowedFolder::Read(const std::string& name) {
  const std::string path = folder_ + "/" + name;
  auto content = ReadFile(path, max_bytes_);
  if (!content.ok()) return content.status();
  const auto known = contents_.find(name);
  if (known != contents_.end() && known->second == *content) return absl::OkStatus();
  log::info("{} read, {} bytes", path, content->size());
  contents_.insert_or_assign(name, *content);
  on_file_(name, *std::move(content));
  return absl::OkStatus();
}

}  // namespace portolan
