// portolanctl policy test: whether the egress policies in manifests let a pod open a connection.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddPolicy(CLI::App& command);

// {"from", "to", "verdict": "allowed"|"denied", "audited", "says", "nearest"?, "at": [...]} in
// words.
std::string PolicyText(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
