// Which files of a folder changed, as they change.
//
// By inotify: files moved in or out, deleted, or closed after writing (so a file that is still
// being written is not reported), the folder itself replaced, and the swap of the `..data` link by
// which a kubelet updates a mounted ConfigMap. Where inotify is not to be had (a node has 128
// instances by default) the folder is polled; a file is then reported once it looked the same in
// two polls. A folder that is away is waited for. inotify(7).
//
// Belongs to the loop's thread. Contents are the reader's business: a file is reported when
// something happened to it, whether or not that changed a byte.
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"

namespace portolan {

// What stat(2) tells a file from its next version by. Links are followed.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;

  // Nothing if there is no regular file at `path`.
  static std::optional<FileStamp> Of(const std::string& path);
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// The regular files in `folder`, links followed, names that begin with a dot left out. Nothing if
// the folder cannot be read.
std::optional<std::map<std::string, FileStamp>> ListFolder(const std::string& folder);

class FolderWatch {
 public:
  enum class Means { kInotify, kPolling };
  struct Changes {
    std::set<std::string> files;  // names within the folder; such a file may be gone
    bool everything = false;      // the folder was replaced or events were lost: look at all
  };

  // Watches from now on, by inotify if `preferred` says so and it can be had.
  FolderWatch(EventLoop& loop, const std::string& folder, Means preferred,
              std::function<void(const Changes&)> on_change);
  ~FolderWatch();

  Means means() const { return inotify_.valid() ? Means::kInotify : Means::kPolling; }

  static constexpr absl::Duration kPollEvery = absl::Milliseconds(500);
  // How often, under inotify, it is checked that the folder is still the one that is watched.
  static constexpr absl::Duration kCheckEvery = absl::Seconds(2);

 private:
  bool StartInotify();
  // Watches the folder that is now at the path. False if there is none.
  bool WatchFolder();
  void OnInotify();
  void OnTimer();
  void Poll();

  const std::string folder_;  // absolute
  const std::string parent_;
  const std::string name_;
  std::function<void(const Changes&)> on_change_;

  Fd inotify_;
  EventLoop::Watch readable_;
  EventLoop::Timer timer_;
  int folder_watch_ = -1;
  int parent_watch_ = -1;
  dev_t watched_device_ = 0;
  ino_t watched_inode_ = 0;

  // Polling: what was reported last, and what was seen last.
  std::map<std::string, FileStamp> reported_;
  std::map<std::string, FileStamp> seen_;
};

}  // namespace portolan
