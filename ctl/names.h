// portolanctl names: the Services, their addresses and endpoints.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddNames(CLI::App& command);

// GET /api/v1/names as a table.
std::string NamesTable(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
