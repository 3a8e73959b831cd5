// portolanctl top: who wastes queries, which upstreams fail, and which names are asked for most.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddTop(CLI::App& command);

// Of GET /api/v1/sidecars: the upstreams that sidecars report, summed up; those that fail the
// largest part of what they are asked first.
nlohmann::json UpstreamsOf(const nlohmann::json& sidecars, size_t most);
// Of GET /api/v1/names: those asked for most.
nlohmann::json BusiestOf(const nlohmann::json& names, size_t most);

// {"amplifiers", "upstreams", "names", "replicas"}, of which some may be missing, as tables.
std::string TopText(const nlohmann::json& top, const Look& look);

}  // namespace portolan::ctl
