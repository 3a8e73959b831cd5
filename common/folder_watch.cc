#include "common/folder_watch.h"

#include <dirent.h>
#include <sys/inotify.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "common/log.h"

namespace portolan {
namespace {

constexpr uint32_t kFolderEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                   IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr uint32_t kParentEvents = IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;

std::filesystem::path Absolute(const std::string& folder) {
  std::error_code ignored;
  auto path = std::filesystem::absolute(folder, ignored).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path;
}

int64_t Nanoseconds(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

// A regular file appears by open(O_CREAT), which IN_CLOSE_WRITE will follow, or whole: by link(2)
// or symlink(2), which nothing follows.
bool AppearedWhole(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

}  // namespace

std::optional<FileStamp> FileStamp::Of(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  return FileStamp{st.st_dev, st.st_ino, st.st_size, Nanoseconds(st.st_mtim),
                   Nanoseconds(st.st_ctim)};
}

std::optional<std::map<std::string, FileStamp>> ListFolder(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  if (dir == nullptr) return std::nullopt;
  std::map<std::string, FileStamp> files;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.starts_with('.')) continue;
    if (auto stamp = FileStamp::Of(folder + "/" + name)) files.emplace(name, *stamp);
  }
  return files;
}

FolderWatch::FolderWatch(EventLoop& loop, const std::string& folder, Means preferred,
                         std::function<void(const Changes&)> on_change)
    : folder_(Absolute(folder)),
      parent_(Absolute(folder).parent_path()),
      name_(Absolute(folder).filename()),
      on_change_(std::move(on_change)) {
  timer_ = loop.AddTimer([this] { OnTimer(); });
  if (preferred == Means::kInotify && StartInotify()) {
    readable_ = loop.AddWatch(inotify_.get(), EventLoop::Interest::kRead, [this] { OnInotify(); });
    timer_.Start(kCheckEvery);
    return;
  }
  inotify_.Reset();
  if (auto files = ListFolder(folder_)) reported_ = seen_ = *std::move(files);
  timer_.Start(kPollEvery);
}

FolderWatch::~FolderWatch() = default;

bool FolderWatch::StartInotify() {
  inotify_ = Fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (inotify_.valid()) {
    parent_watch_ = inotify_add_watch(inotify_.get(), parent_.c_str(), kParentEvents);
    if (parent_watch_ >= 0 && (WatchFolder() || errno == ENOENT)) return true;
  }
  log::warn("{}: polled every {} ms, inotify is not to be had: {}", folder_,
            absl::ToInt64Milliseconds(kPollEvery), std::strerror(errno));
  return false;
}

bool FolderWatch::WatchFolder() {
  struct stat st;
  if (stat(folder_.c_str(), &st) != 0) return false;
  const int watch = inotify_add_watch(inotify_.get(), folder_.c_str(), kFolderEvents);
  if (watch < 0) return false;
  if (folder_watch_ >= 0 && folder_watch_ != watch) {
    inotify_rm_watch(inotify_.get(), folder_watch_);
  }
  folder_watch_ = watch;
  watched_device_ = st.st_dev;
  watched_inode_ = st.st_ino;
  return true;
}

void FolderWatch::OnInotify() {
  Changes changes;
  bool replaced = false;
  alignas(inotify_event) char block[16384];
  for (;;) {
    const ssize_t n = read(inotify_.get(), block, sizeof block);
    if (n <= 0) break;
    for (const char* at = block; at < block + n;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event.len;
      const std::string name = event.len > 0 ? event.name : "";
      if (event.mask & IN_Q_OVERFLOW) changes.everything = true;
      if (event.wd == parent_watch_ && name == name_) replaced = true;
      if (event.wd != folder_watch_) continue;
      if (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) replaced = true;
      if (name == "..data") changes.everything = true;
      if (name.empty() || name.starts_with('.')) continue;
      if ((event.mask & IN_CREATE) && !AppearedWhole(folder_ + "/" + name)) continue;
      changes.files.insert(name);
    }
  }
  if (replaced) {
    folder_watch_ = -1;
    changes.everything = WatchFolder() || changes.everything;
  }
  if (changes.everything || !changes.files.empty()) on_change_(changes);
}

void FolderWatch::OnTimer() {
  if (!inotify_.valid()) return Poll();
  timer_.Start(kCheckEvery);
  struct stat st;
  if (stat(folder_.c_str(), &st) != 0) return;
  if (folder_watch_ >= 0 && st.st_dev == watched_device_ && st.st_ino == watched_inode_) return;
  if (WatchFolder()) on_change_({{}, true});
}

void FolderWatch::Poll() {
  timer_.Start(kPollEvery);
  auto now = ListFolder(folder_);
  if (!now.has_value()) return;
  Changes changes;
  for (const auto& [name, stamp] : *now) {
    const auto before = seen_.find(name);
    const bool settled = before != seen_.end() && before->second == stamp;
    const auto told = reported_.find(name);
    if (!settled || (told != reported_.end() && told->second == stamp)) continue;
    changes.files.insert(name);
    reported_.insert_or_assign(name, stamp);
  }
  std::erase_if(reported_, [&](const auto& file) {
    if (now->contains(file.first)) return false;
    changes.files.insert(file.first);
    return true;
  });
  seen_ = *std::move(now);
  if (!changes.files.empty()) on_change_(changes);
}

}  // namespace portolan
