// portolanctl completion bash|zsh: what a shell needs to complete the command line. The shell asks
// the program itself (the hidden command __complete), so that what it offers is always what this
// version takes; names of Services and pods come from the control plane, if it answers in two
// seconds.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "ctl/command.h"

namespace portolan::ctl {

Run AddCompletion(CLI::App& command);
// The command that the shell calls.
Run AddComplete(CLI::App& command);

// What the last of `words` may become: each begins with it. `words`: what stands behind the
// program's name. `ask(kind)` gives what the cluster has: "pod" (NAMESPACE/POD) or "service".
// Nothing but what a shell can take as it stands is offered. kFilesWanted alone: the shell
// completes files.
inline constexpr std::string_view kFilesWanted = ":files";
using AskCluster = std::function<std::vector<std::string>(std::string_view kind)>;
std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const AskCluster& ask);

}  // namespace portolan::ctl
