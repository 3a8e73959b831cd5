#include "common/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/fd.h"
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

absl::Status WriteFileAtomically(const std::string& path, std::string_view content) {
  const std::string next = path + ".next";
  Fd fd(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!fd.valid()) return ErrnoError(errno, next);
  absl::Status status = absl::OkStatus();
  while (!content.empty() && status.ok()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno != EINTR) status = ErrnoError(errno, next);
    if (n > 0) content.remove_prefix(static_cast<size_t>(n));
  }
  if (status.ok() && fdatasync(fd.get()) != 0) status = ErrnoError(errno, next);
  if (status.ok() && rename(next.c_str(), path.c_str()) != 0) status = ErrnoError(errno, path);
  if (!status.ok()) unlink(next.c_str());
  return status;
}

}  // namespace portolan
