// The log: spdlog to standard error, one line an event, UTC with milliseconds: as text, or as an
// object of JSON (docs/operate.md#logs).
//
//   log::info("listening on {}", address.ToString());
//
// Any thread. Not for the packet path: an outcome there is a counter, and what must be logged is
// limited by the caller.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace portolan::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sets the sink and level up, with lines of text; called once by main. `program` stands in every
// line.
void Start(std::string_view program, spdlog::level::level_enum level);

// "debug", "info", "warn", "error"; an error names the known words.
absl::Status SetLevel(std::string_view level);

// "json", or else text. Before other threads log.
void SetFormat(std::string_view format);

// A line of the format "json", without its end: time (RFC 3339), level, program, message. Whatever
// `message` holds, the line is one object and one line; bytes that are no UTF-8 become U+FFFD.
std::string JsonLine(absl::Time time, spdlog::level::level_enum level, std::string_view program,
                     std::string_view message);

}  // namespace portolan::log
