// portolanctl denials: what policy denied, and which rule came nearest to allowing it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddDenials(CLI::App& command);

// Of GET /api/v1/denials.
std::string DenialsTable(const nlohmann::json& answer, const Look& look, absl::Time now);

}  // namespace portolan::ctl
