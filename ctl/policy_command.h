// portolanctl policy test: whether the policies in force, or those in manifests, let a pod open a
// connection.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddPolicy(CLI::App& command);

// An answer with "from" and "to" in words: of manifests as policy/connection_verdict.h has
// it, of a sidecar as proxy/explain/policy_tester.h.
std::string PolicyText(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
