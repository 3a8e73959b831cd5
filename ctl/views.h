// What the API answers, as tables for a terminal. Pure functions; any thread. The JSON may be
// anything: what is missing or of another type is shown as "-".
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"

namespace portolan::ctl {

// GET /api/v1/names.
std::string NamesTable(const nlohmann::json& answer);

// GET /api/v1/sidecars, with a line below the table for each refusal (NACK). Ages are as of `now`.
std::string ProxyStatusTable(const nlohmann::json& answer, absl::Time now);

// A sidecar's /explain: each lookup with its answers, and the Services that they are of.
std::string ExplainText(const nlohmann::json& answer);

// The answer itself, for other programs: pure ASCII, so that it can go to a terminal too.
std::string Json(const nlohmann::json& answer);

}  // namespace portolan::ctl
