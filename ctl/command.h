// What a subcommand of portolanctl is: a file pair ctl/NAME.{h,cc} each, and a line in main.cc's
// table.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace portolan::ctl {

class Session;

// What a command does once the command line is parsed; gives the exit status (common/flags.h).
using Run = std::function<int(Session&)>;

// Whether it takes --watch.
enum class Runs : uint8_t { kOnce, kWatched };

struct Command {
  std::string name;
  std::string help;
  // Adds the command's flags to its subcommand. What they are parsed into lives as long as the Run,
  // which is called once, with a Session that outlives the call.
  Run (*add)(CLI::App& command);
  Runs runs = Runs::kOnce;
};

}  // namespace portolan::ctl
