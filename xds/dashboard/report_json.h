// What a pod asks for and where its connections go, of a sidecar's report as the API shows it: with
// the names of portolan/v1/sidecars.proto in camelCase, and times as everywhere. Any thread.
#pragma once

#include <nlohmann/json.hpp>

#include "portolan/v1/sidecars.pb.h"

namespace portolan::xds {

nlohmann::json NamesJson(const v1::NamesReport& names);
nlohmann::json FlowsJson(const v1::FlowsReport& flows);
nlohmann::json AmplificationJson(const v1::AmplificationReport& amplification);

}  // namespace portolan::xds
