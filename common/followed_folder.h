// The files of one folder, read at the start and each again whenever it changes: the Corefiles that
// `--corefiles` names, also where the folder is a mounted ConfigMap.
//
// Belongs to the loop's thread. A file that cannot be read keeps its last content, and so do all of
// them while the folder is away.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "common/folder_watch.h"
#include "common/string_map.h"

namespace portolan {

class FollowedFolder {
 public:
  // `on_file` is called with a file's name and its whole content, only when that differs from the
  // last; with nothing when the file is gone. Names that begin with a dot are left out.
  using OnFile =
      std::function<void(const std::string& name, const std::optional<std::string>& content)>;
  FollowedFolder(EventLoop& loop, std::string folder, size_t max_bytes, OnFile on_file);

  // Reads all and calls on_file before it returns; an error if the folder or a file cannot be read.
  absl::Status Start();

 private:
  absl::Status ReadAll();
  absl::Status Read(const std::string& name);

  const std::string folder_;
  const size_t max_bytes_;
  const OnFile on_file_;
  StringMap<std::string> contents_;  // by name
  bool started_ = false;
  FolderWatch watch_;
};

}  // namespace portolan
