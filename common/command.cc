#include "common/command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/monotonic.h"
#include "common/status.h"

namespace portolan {
namespace {

// How often it is looked whether the program has ended. Its pipes do not tell: what it started may
// hold them open.
constexpr absl::Duration kLookEvery = absl::Milliseconds(20);
constexpr size_t kMaxComplaintBytes = 4096;

// Non-blocking for us, blocking for the program.
bool MakePipe(Fd& ours, Fd& theirs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  ours = Fd(ends[0]);
  theirs = Fd(ends[1]);
  return fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> all;
  const auto is_replaced = [&](std::string_view variable) {
    for (const auto& [name, value] : more) {
      if (variable.starts_with(name + "=")) return true;
    }
    return false;
  };
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!is_replaced(*variable)) all.emplace_back(*variable);
  }
  for (const auto& [name, value] : more) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::string_view LastLine(std::string_view text) {
  const size_t end = text.find_last_not_of(" \r\n\t");
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end + 1);
  const size_t begin = text.rfind('\n');
  return begin == std::string_view::npos ? text : text.substr(begin + 1);
}

}  // namespace

Command::Command(EventLoop& loop, Options options, Done done)
    : loop_(loop),
      options_(std::move(options)),
      done_(std::move(done)),
      deadline_(Monotonic() + options_.timeout),
      timer_(loop.AddTimer([this] { LookAfter(); })) {
  out_.max_bytes = options_.max_output_bytes;
  err_.max_bytes = kMaxComplaintBytes;
  fault_ = Spawn();
  timer_.Start(fault_.ok() ? kLookEvery : absl::ZeroDuration());
}

Command::~Command() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

absl::Status Command::Spawn() {
  Fd child_out;
  Fd child_err;
  if (!MakePipe(out_.fd, child_out) || !MakePipe(err_.fd, child_err)) {
    return ErrnoError(errno, options_.argv[0]);
  }
  std::vector<std::string> arguments = options_.argv;
  std::vector<std::string> variables = Environment(options_.env);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, child_out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, child_err.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);  // which we ignore
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawnp(&pid_, arguments[0].c_str(), &files, &attributes,
                                 Pointers(arguments).data(), Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    pid_ = -1;
    if (error == ENOENT) return NotFound("{}: no such program", options_.argv[0]);
    return ErrnoError(error, options_.argv[0]);
  }
  for (Stream* stream : {&out_, &err_}) {
    stream->watch = loop_.AddWatch(stream->fd.get(), EventLoop::Interest::kRead,
                                   [this, stream] { Read(*stream); });
  }
  return absl::OkStatus();
}

// All there is; what is beyond the bound is read and dropped.
void Command::Read(Stream& stream) {
  char block[16384];
  for (;;) {
    const ssize_t n = read(stream.fd.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return stream.watch->Disable();
    const size_t room = stream.max_bytes - stream.text.size();
    stream.cut |= static_cast<size_t>(n) > room;
    stream.text.append(block, std::min(room, static_cast<size_t>(n)));
  }
}

void Command::LookAfter() {
  if (!fault_.ok()) return End(fault_);
  int wait_status = 0;
  if (waitpid(pid_, &wait_status, WNOHANG) == pid_) {
    pid_ = -1;
    Read(out_);
    Read(err_);
    const absl::Status verdict = Verdict(wait_status);
    return verdict.ok() ? End(std::move(out_.text)) : End(verdict);
  }
  if (Monotonic() < deadline_) return timer_.Start(kLookEvery);
  End(absl::DeadlineExceededError(fmt::format("{}: not done within {}", options_.argv[0],
                                              absl::FormatDuration(options_.timeout))));
}

void Command::End(absl::StatusOr<std::string> result) {
  const Done done = std::move(done_);  // which may destroy this
  done(std::move(result));
}

absl::Status Command::Verdict(int wait_status) const {
  const std::string_view complaint = LastLine(err_.text);
  const auto failed = [&](const std::string& how) {
    return FailedPrecondition("{}: {}{}{}", options_.argv[0], how, complaint.empty() ? "" : ": ",
                              complaint);
  };
  if (WIFSIGNALED(wait_status)) return failed(fmt::format("signal {}", WTERMSIG(wait_status)));
  if (WEXITSTATUS(wait_status) != 0) {
    return failed(fmt::format("exit status {}", WEXITSTATUS(wait_status)));
  }
  if (out_.cut) return failed(fmt::format("prints more than {} bytes", out_.max_bytes));
  return absl::OkStatus();
}

}  // namespace portolan
