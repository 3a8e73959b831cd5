// What portolanctl prints. Any thread, but for what writes to the streams.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

// The answer itself, for other programs: pure ASCII, so that it can go to a terminal too.
std::string Json(const nlohmann::json& answer);
// The same as a document of YAML.
std::string Yaml(const nlohmann::json& answer);

// Of an RFC 3339 time: "3m20s", "5h10m", "2d4h"; empty for a time that cannot be read.
std::string Age(const std::string& since, absl::Time now);
// For a table: as above, or as Look::absolute_times says.
std::string Age(const std::string& since, absl::Time now, const Look& look);
// A number as a reader wants it: "4500", "12.5", "45.0k", "1.2M".
std::string Short(double number);
// The same, and a share of one as "12.5%", of JSON; empty where it is no number.
std::string Short(const nlohmann::json& number);
std::string Percent(const nlohmann::json& ratio, int digits);

// The strings of a list, with commas between them.
std::string Joined(const nlohmann::json& list);

// Below a table: which replicas of the control plane have no part in the answer; empty: none.
std::string ReplicaNotes(const nlohmann::json& answer, const Look& look);

// To standard output; the exit status.
int Print(const std::string& text);
// To standard error, behind the program's name; the exit status.
int Fail(const absl::Status& status);

}  // namespace portolan::ctl
