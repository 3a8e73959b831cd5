// portolanctl history NAME: what changed where a name leads, or where it led at a moment.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddHistory(CLI::App& command);

// GET /api/v1/history, newest first; times in `zone`.
std::string HistoryTable(const nlohmann::json& answer, const Look& look, absl::TimeZone zone);

}  // namespace portolan::ctl
