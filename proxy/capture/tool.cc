#include "proxy/capture/tool.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "common/fd.h"
#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr off_t kMaxOutput = 16 * 1024 * 1024;

// Files in memory instead of pipes: neither side ever waits for the other.
absl::StatusOr<Fd> MemoryFile(std::string_view content) {
  Fd fd(memfd_create("portolan-init", MFD_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "memfd_create");
  while (!content.empty()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno != EINTR) return ErrnoError(errno, "write to a memory file");
    if (n > 0) content.remove_prefix(static_cast<size_t>(n));
  }
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoError(errno, "lseek");
  return fd;
}

absl::StatusOr<std::string> ReadBack(const Fd& fd, std::string_view program) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoError(errno, "fstat");
  if (info.st_size > kMaxOutput) {
    return absl::ResourceExhaustedError(fmt::format("{}: printed over 16 MiB", program));
  }
  std::string content(static_cast<size_t>(info.st_size), '\0');
  for (size_t at = 0; at < content.size();) {
    const ssize_t n =
        pread(fd.get(), content.data() + at, content.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError(n < 0 ? errno : EIO, "read of a memory file");
    at += static_cast<size_t>(n);
  }
  return content;
}

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, const Fd& in, const Fd& out,
                            const Fd& err) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return NotFound("{}: not installed, or not in PATH", command[0]);
  if (error != 0) return ErrnoError(error, command[0]);
  return pid;
}

// Waits for the process and returns its wait status; kills it first when `limit` is over.
absl::StatusOr<int> Await(pid_t pid, absl::Duration limit) {
  // By number: glibc has a wrapper from 2.36 on.
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  bool ended = true;
  if (pidfd.valid()) {
    pollfd waiting{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    const absl::Time deadline = absl::Now() + limit;
    int ready = -1;
    do {
      const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
      ready = poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    } while (ready < 0 && errno == EINTR);
    ended = ready > 0;
  }
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoError(errno, "waitpid");
  }
  if (!ended) {
    return absl::DeadlineExceededError(
        fmt::format("not finished after {}, killed", absl::FormatDuration(limit)));
  }
  return status;
}

}  // namespace

absl::StatusOr<ToolResult> RunTool(const std::vector<std::string>& command,
                                   const std::string& input, absl::Duration limit) {
  auto in = MemoryFile(input);
  if (!in.ok()) return in.status();
  auto out = MemoryFile({});
  if (!out.ok()) return out.status();
  auto err = MemoryFile({});
  if (!err.ok()) return err.status();
  auto pid = Spawn(command, *in, *out, *err);
  if (!pid.ok()) return pid.status();
  auto status = Await(*pid, limit);
  if (!status.ok()) {
    return absl::Status(status.status().code(),
                        fmt::format("{}: {}", command[0], Message(status.status())));
  }
  auto printed = ReadBack(*out, command[0]);
  if (!printed.ok()) return printed.status();
  auto complained = ReadBack(*err, command[0]);
  if (!complained.ok()) return complained.status();
  return ToolResult{
      .exit_status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status),
      .out = *std::move(printed),
      .err = *std::move(complained)};
}

}  // namespace portolan::proxy
