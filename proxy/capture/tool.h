// Runs a program to its end: input from a string, output into strings.
//
// Any thread, blocking. No shell; the program is found by PATH and gets this process's environment.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::proxy {

struct ToolResult {
  int exit_status = 0;  // 128 + N when signal N ended it, as a shell says it
  std::string out;
  std::string err;
};

// NotFound if there is no such program; DeadlineExceeded if it ran longer than `limit` and was
// killed; ResourceExhausted if it printed more than 16 MiB. `command` is not empty.
absl::StatusOr<ToolResult> RunTool(const std::vector<std::string>& command,
                                   const std::string& input, absl::Duration limit);

}  // namespace portolan::proxy
