// What a pod asks for, where its connections go and what policy denies it, of a sidecar's report as
// the API shows it: with the names of portolan/v1/sidecars.proto in camelCase, and times as
// everywhere. Any thread.
#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "portolan/v1/sidecars.pb.h"

namespace portolan::xds {

nlohmann::json NamesJson(const v1::NamesReport& names);
nlohmann::json FlowsJson(const v1::FlowsReport& flows);
// {"what", "mode", "name", "address", "port", "policies", "nearest", "count", "last"}
nlohmann::json DenialJson(const v1::DenialReport& denial);
// {"known", "partlyEnforced", "denied", "audited"}, and with kShown "policies", "otherPolicies"
// and "denials".
enum class PolicyLists : uint8_t { kLeftOut, kShown };
nlohmann::json PolicyJson(const v1::PolicyReport& policy, PolicyLists lists);
nlohmann::json AmplificationJson(const v1::AmplificationReport& amplification);

}  // namespace portolan::xds
