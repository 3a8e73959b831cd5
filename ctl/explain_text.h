// How `portolanctl explain` shows an explanation: the way out step by step, then what the control
// plane, the sidecar and the cluster DNS say of each name, and where they differ. Any thread.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/terminal.h"

namespace portolan::ctl {

// The answer of GET /api/v1/explain: "sidecar" as its /explain says it, "controlPlane",
// "differences". Parts that are missing are left out.
std::string ExplainText(const nlohmann::json& answer, const Look& look);

}  // namespace portolan::ctl
