// The log: spdlog to standard error, one line an event, UTC with milliseconds.
//
//   log::info("listening on {}", address.ToString());
//
// Any thread. Not for the packet path: an outcome there is a counter, and what must be logged is
// limited by the caller.
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

#include "absl/status/status.h"

namespace portolan::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sets the sink, format and level up; called once by main. `program` stands in every line.
void Start(std::string_view program, spdlog::level::level_enum level);

// "debug", "info", "warn", "error"; an error names the known words.
absl::Status SetLevel(std::string_view level);

}  // namespace portolan::log
