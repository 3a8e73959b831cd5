// A program that is run beside the loop: what it prints, within bounds of size and time.
//
// It runs in a process group of its own, which ends with the Command. Without a terminal: its
// standard input is empty. The loop's thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"

namespace portolan {

class Command {
 public:
  struct Options {
    std::vector<std::string> argv = {};  // the first without a slash: looked up in PATH
    std::vector<std::pair<std::string, std::string>> env = {};  // beyond our own
    absl::Duration timeout = absl::Seconds(60);
    size_t max_output_bytes = 1u << 20;
  };
  // What it printed, if it ended with status 0. An error names the program and says what it
  // printed to standard error last; kNotFound: there is no such program.
  using Done = std::function<void(absl::StatusOr<std::string>)>;

  // Starts it. `done` is called once, later, and may destroy the Command.
  Command(EventLoop& loop, Options options, Done done);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

 private:
  struct Stream {
    Fd fd;
    std::optional<EventLoop::Watch> watch;
    std::string text;
    size_t max_bytes = 0;
    bool cut = false;
  };

  absl::Status Spawn();
  void Read(Stream& stream);
  void LookAfter();
  absl::Status Verdict(int wait_status) const;
  void End(absl::StatusOr<std::string> result);

  EventLoop& loop_;
  const Options options_;
  Done done_;
  pid_t pid_ = -1;
  absl::Duration deadline_;  // as Monotonic() has it
  Stream out_;
  Stream err_;
  absl::Status fault_;
  EventLoop::Timer timer_;
};

}  // namespace portolan
