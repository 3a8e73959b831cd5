#include "ctl/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace portolan::ctl {
namespace {

int pipe_ends[2] = {-1, -1};

void OnSignal(int) { [[maybe_unused]] const ssize_t written = write(pipe_ends[1], "", 1); }

}  // namespace

int InterruptFd() {
  if (pipe_ends[0] >= 0 || pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) return pipe_ends[0];
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return pipe_ends[0];
}

bool Interrupted(absl::Duration within) {
  pollfd one{pipe_ends[0], POLLIN, 0};
  const int milliseconds = static_cast<int>(absl::ToInt64Milliseconds(within));
  return pipe_ends[0] >= 0 && poll(&one, 1, milliseconds) != 0;
}

}  // namespace portolan::ctl
