#include "ctl/port_forward.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>
#include <vector>

#include "common/monotonic.h"
#include "common/status.h"

namespace portolan::ctl {
namespace {

constexpr size_t kMaxComplaints = 4096;
constexpr size_t kMaxLine = 4096;
constexpr std::string_view kForwarding = "Forwarding from 127.0.0.1:";

std::vector<std::string> CommandLine(const PortForward::Options& options) {
  std::vector<std::string> argv{"kubectl"};
  if (!options.context.empty()) argv.push_back("--context=" + options.context);
  argv.insert(argv.end(), {"--namespace=" + options.ns, "port-forward", "--address=127.0.0.1",
                           options.target, fmt::format(":{}", options.port)});
  return argv;
}

// In the child: becomes kubectl, or writes errno to `failure`.
[[noreturn]] void Become(std::vector<char*>& argv, const std::string& kubeconfig, pid_t parent,
                         int output, int failure) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);  // which has ended already
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  // What --kubeconfig names may be several files; kubectl's own flag takes one.
  if (!kubeconfig.empty()) setenv("KUBECONFIG", kubeconfig.c_str(), 1);
  execvp(argv[0], argv.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(failure, &error, sizeof error);
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PortForward>> PortForward::Start(const Options& options) {
  std::unique_ptr<PortForward> forward(new PortForward());
  if (absl::Status status = forward->Spawn(options); !status.ok()) return status;
  if (absl::Status status = forward->WaitForPort(options); !status.ok()) return status;
  return forward;
}

absl::Status PortForward::Spawn(const Options& options) {
  int output[2];
  int failure[2];
  if (pipe2(output, O_CLOEXEC) != 0) return ErrnoError(errno, "pipe");
  Fd from_child(output[0]);
  Fd to_us(output[1]);
  if (pipe2(failure, O_CLOEXEC) != 0) return ErrnoError(errno, "pipe");
  const Fd failed(failure[0]);
  Fd fails(failure[1]);

  std::vector<std::string> words = CommandLine(options);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return ErrnoError(errno, "fork");
  if (pid_ == 0) Become(argv, options.kubeconfig, parent, to_us.get(), fails.get());
  to_us.Reset();
  fails.Reset();
  int error = 0;
  if (read(failed.get(), &error, sizeof error) == sizeof error) {
    if (error != ENOENT) return ErrnoError(error, "kubectl");
    return NotFound(
        "kubectl is not there, which leads to the control plane by port-forward\n"
        "Install it (https://kubernetes.io/docs/tasks/tools/), or say where the control plane is "
        "with --server URL, which needs no kubectl");
  }
  output_ = std::move(from_child);
  fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  return absl::OkStatus();
}

absl::Status PortForward::WaitForPort(const Options& options) {
  const absl::Duration deadline = Monotonic() + options.patience;
  bool running = true;
  while (url_.empty() && running && Monotonic() < deadline) {
    running = Drain(deadline - Monotonic());
  }
  if (!url_.empty()) return absl::OkStatus();
  std::string said = complaints_;
  while (said.ends_with('\n')) said.pop_back();
  return absl::UnavailableError(fmt::format(
      "kubectl port-forward to {} in namespace {} {}{}{}\n"
      "Another cluster: --context; another namespace: --control-namespace; another way: --server "
      "URL",
      options.target, options.ns,
      running ? "did not open its port in " + absl::FormatDuration(options.patience) : "failed",
      said.empty() ? "" : ":\n", said));
}

bool PortForward::Drain(absl::Duration patience) {
  pollfd readable{output_.get(), POLLIN, 0};
  if (patience > absl::ZeroDuration()) {
    poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(patience)) + 1);
  }
  char buffer[1024];
  ssize_t n = 0;
  while ((n = read(output_.get(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    for (const char c : std::string_view(buffer, n < 0 ? 0 : static_cast<size_t>(n))) {
      if (c == '\n') {
        Take(std::exchange(line_, {}));
      } else if (line_.size() < kMaxLine) {
        line_ += c;
      }
    }
  }
  if (n < 0) return true;
  Take(std::exchange(line_, {}));
  return false;
}

void PortForward::Take(std::string_view line) {
  if (url_.empty() && line.starts_with(kForwarding)) {
    const std::string_view port = line.substr(kForwarding.size());
    url_ = fmt::format("http://127.0.0.1:{}", port.substr(0, port.find(' ')));
  } else if (!line.empty() && !line.starts_with("Forwarding from ") &&
             !line.starts_with("Handling connection for ")) {
    complaints_ += fmt::format("{}\n", line);
    if (complaints_.size() > kMaxComplaints) {
      complaints_.erase(0, complaints_.size() - kMaxComplaints);
    }
  }
}

PortForward::~PortForward() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace portolan::ctl
