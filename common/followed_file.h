// One file, read at the start and again whenever it changes: a Corefile, an injector's template,
// also where it is mounted from a ConfigMap.
//
// Belongs to the loop's thread. A file that goes away or cannot be read keeps its last content.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "common/folder_watch.h"

namespace portolan {

class FollowedFile {
 public:
  // `on_content` is called with the whole content, only when it differs from the last.
  FollowedFile(EventLoop& loop, std::string path, size_t max_bytes,
               std::function<void(const std::string&)> on_content);

  // Reads the file and calls on_content before it returns; an error if it cannot be read.
  absl::Status Start();

 private:
  absl::Status Read();

  const std::string path_;
  const std::string name_;
  const size_t max_bytes_;
  const std::function<void(const std::string&)> on_content_;
  std::string content_;
  bool started_ = false;
  FolderWatch watch_;
};

}  // namespace portolan
