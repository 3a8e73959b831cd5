// portolanctl proxy-status: the connected sidecars, and whether they hold what was sent to them;
// those with a fault first, then the slowest.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddProxyStatus(CLI::App& command);

// GET /api/v1/sidecars as a table, with a line below it for each fault and refusal (NACK). Ages are
// as of `now`.
std::string ProxyStatusTable(const nlohmann::json& answer, const Look& look, absl::Time now);

}  // namespace portolan::ctl
