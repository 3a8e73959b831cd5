// portolanctl names: the Services, their addresses and endpoints, and what is wrong with them.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddNames(CLI::App& command);

// GET /api/v1/names as a table; ages are as of `now`.
std::string NamesTable(const nlohmann::json& answer, const Look& look, absl::Time now);
// The same answer: a line for each warning.
std::string WarningsTable(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
