// portolanctl endpoints SERVICE: where a Service leads, and why to there.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddEndpoints(CLI::App& command);

// GET /api/v1/names/NAMESPACE/NAME: the Service in a few lines, a table of its endpoints, and who
// asked for it. Ages are as of `now`.
std::string EndpointsText(const nlohmann::json& answer, const Look& look, absl::Time now);

}  // namespace portolan::ctl
