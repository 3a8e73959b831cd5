#include "ctl/dashboard.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "common/monotonic.h"
#include "common/status.h"
#include "ctl/interrupt.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

// Where no desktop is running, xdg-open becomes the browser itself and ends with it.
constexpr absl::Duration kPatience = absl::Seconds(2);

// Whether it went well, or goes on.
bool Opens(pid_t browser) {
  const absl::Duration deadline = Monotonic() + kPatience;
  while (Monotonic() < deadline) {
    int status = 0;
    const pid_t ended = waitpid(browser, &status, WNOHANG);
    if (ended == browser) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (Interrupted(absl::Milliseconds(20))) break;
  }
  return true;
}

// Opens `url` in the user's browser, by freedesktop's program or macOS's. False: there is neither,
// or it failed.
bool OpenInBrowser(const std::string& url) {
  for (const char* program : {"xdg-open", "open"}) {
    char* const argv[] = {const_cast<char*>(program), const_cast<char*>(url.c_str()), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    }
    pid_t pid = -1;
    const int error = posix_spawnp(&pid, program, &files, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) continue;
    if (Opens(pid)) return true;
  }
  return false;
}

// Until Ctrl-C (ok), or until kubectl has ended.
absl::Status KeepOpen(PortForward& forward) {
  while (!Interrupted()) {
    pollfd fds[] = {{InterruptFd(), POLLIN, 0}, {forward.fd(), POLLIN, 0}};
    poll(fds, 2, -1);
    if (!forward.Drain() && !Interrupted()) {
      return absl::UnavailableError(fmt::format("kubectl port-forward has ended{}{}",
                                                forward.complaints().empty() ? "" : ":\n",
                                                forward.complaints()));
    }
  }
  return absl::OkStatus();
}

int Dashboard(Session& session, bool no_browser) {
  InterruptFd();
  const auto way = session.FindWay();
  if (!way.ok()) return Fail(way.status());
  // Says what is wrong before a browser shows an empty page.
  if (const auto answer = session.Get("/api/v1/names?limit=1"); !answer.ok()) {
    return Fail(answer.status());
  }
  const std::string url = way->server.ends_with('/') ? way->server : way->server + "/";
  if (const int exit = Print(url + "\n"); exit != 0) return exit;
  if (!no_browser && !OpenInBrowser(url)) {
    std::cerr << "No browser could be opened here; open the page above yourself.\n";
  }
  if (way->forward == nullptr) return 0;
  std::cerr << "The page is there until Ctrl-C.\n";
  const absl::Status status = KeepOpen(*way->forward);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace

Run AddDashboard(CLI::App& command) {
  auto no_browser = std::make_shared<bool>(false);
  command.add_flag("--no-browser", *no_browser, "only print the URL");
  return [no_browser](Session& session) { return Dashboard(session, *no_browser); };
}

}  // namespace portolan::ctl
