#include "common/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/status.h"

namespace portolan {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, path);
  std::string content;
  char block[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), block, sizeof block);
    if (n == 0) return content;
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoError(errno, path);
    }
    if (content.size() + static_cast<size_t>(n) > max_bytes) {
      return InvalidArgument("{}: larger than {} bytes", path, max_bytes);
    }
    content.append(block, static_cast<size_t>(n));
  }
}

ReplacingFile::ReplacingFile(std::string path)
    : path_(std::move(path)),
      next_(path_ + ".next"),
      fd_(open(next_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)) {
  if (!fd_.valid()) status_ = ErrnoError(errno, next_);
}

ReplacingFile::~ReplacingFile() {
  if (fd_.valid() && !committed_) unlink(next_.c_str());
}

bool ReplacingFile::Append(std::string_view bytes) {
  const size_t at = size_;
  size_ += bytes.size();
  return WriteAt(at, bytes);
}

bool ReplacingFile::Overwrite(std::string_view bytes) { return WriteAt(0, bytes); }

bool ReplacingFile::WriteAt(size_t offset, std::string_view bytes) {
  while (!bytes.empty() && status_.ok()) {
    const ssize_t n = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno != EINTR) status_ = ErrnoError(errno, next_);
    if (n <= 0) continue;
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
  return status_.ok();
}

absl::Status ReplacingFile::Commit() {
  if (status_.ok() && fdatasync(fd_.get()) != 0) status_ = ErrnoError(errno, next_);
  if (status_.ok() && rename(next_.c_str(), path_.c_str()) != 0) status_ = ErrnoError(errno, path_);
  committed_ = status_.ok();
  return status_;
}

}  // namespace portolan
