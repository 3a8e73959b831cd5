// What portolanctl prints. Any thread, but for what writes to the streams.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace portolan::ctl {

// The answer itself, for other programs: pure ASCII, so that it can go to a terminal too.
std::string Json(const nlohmann::json& answer);

// Of an RFC 3339 time: "3m20s", "5h10m", "2d4h"; empty for a time that cannot be read.
std::string Age(const std::string& since, absl::Time now);

// To standard output; the exit status.
int Print(const std::string& text);
// To standard error, behind the program's name; the exit status.
int Fail(const absl::Status& status);

}  // namespace portolan::ctl
