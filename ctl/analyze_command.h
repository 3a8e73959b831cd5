// portolanctl analyze: what is wrong with the names of a cluster, or of manifests before they are
// applied.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ctl/analyze/analyze.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddAnalyze(CLI::App& command);

// {"findings": [{"code", "severity", "object", "file", "line", "what", "advice"}], "objects": N}
nlohmann::json FindingsJson(const std::vector<analyze::Finding>& findings, int objects);

// The same as compilers write it: "FILE:LINE: error: OBJECT: what [code]", and below it what to do.
std::string FindingsText(const nlohmann::json& findings, const Look& look);

}  // namespace portolan::ctl
