// Command lines: CLI11 with the conventions that all programs share.
//
// Long flags, --help, --version, --config FILE (YAML: a map from flag name to value or list of
// values; the command line wins over the file). `--name=` gives an empty value. Exit status 0 ok, 1
// failed, 2 wrong usage.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/status.h"

namespace portolan {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Adds --version and --config to `app`.
void AddCommonFlags(CLI::App& app, const std::string& version);

// The exit status if the program should end here (help was printed, or an error that names the flag
// or the file), nothing if it should go on.
std::optional<int> ParseFlags(CLI::App& app, int argc, const char* const* argv);

// For what CLI11 cannot say of a single flag: prints `fault` as CLI11 prints its own and gives the
// exit status; nothing if it is empty.
std::optional<int> WrongUsage(std::string_view fault);

// --log-level and --log-format, for log::SetLevel and log::SetFormat.
void AddLogFlags(CLI::App& app, std::string& level, std::string& format);

// Flags whose values are read by a Parse(text) -> StatusOr<T> of their own: IpAddress,
// SocketAddress, Cidr. The vector form may be given more than once; what is given replaces the
// default.
template <typename T>
CLI::Option* AddFlag(CLI::App& app, const std::string& name, T& out, const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [&out, name](const std::string& text) {
        auto value = T::Parse(text);
        if (!value.ok()) throw CLI::ValidationError(name, std::string(Message(value.status())));
        out = *value;
      },
      help);
}

template <typename T>
CLI::Option* AddFlag(CLI::App& app, const std::string& name, std::vector<T>& out,
                     const std::string& help) {
  return app.add_option_function<std::vector<std::string>>(
      name,
      [&out, name](const std::vector<std::string>& texts) {
        out.clear();
        for (const std::string& text : texts) {
          auto value = T::Parse(text);
          if (!value.ok()) throw CLI::ValidationError(name, std::string(Message(value.status())));
          out.push_back(*value);
        }
      },
      help);
}

// Durations as Go and Kubernetes write them: "300ms", "10s", "1h30m".
CLI::Option* AddFlag(CLI::App& app, const std::string& name, absl::Duration& out,
                     const std::string& help);

}  // namespace portolan
