// portolanctl explain: what becomes of a name that a pod's application looks up.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddExplain(CLI::App& command);

// A sidecar's /explain: each lookup with its answers, and the Services that they are of.
std::string ExplainText(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
