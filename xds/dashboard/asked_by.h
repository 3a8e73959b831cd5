// Who asked for a name lately, as the pages say it: {"pods", "queries", "lastAsked"}, in full with
// "byPod": [{"node", "queries", "lastAsked"}], and how what several replicas say is one answer.
// Each sidecar reports to one replica, so pods and queries add up. One that went over to another
// replica is known to both for AskedNames::kKept: "byPod" tells that it is one, and where there is
// none it counts twice as long. Any thread.
#pragma once

#include <cstddef>

#include <nlohmann/json.hpp>

#include "xds/sidecars/asked_names.h"

namespace portolan::xds {

inline constexpr size_t kMostAskingPods = 20;

// "byPod" where `with_pods`.
nlohmann::json AskedByJson(const AskedBy& asked, bool with_pods);

// Adds what another replica says, of whom nothing is believed but numbers and texts.
void AddAskedBy(nlohmann::json& to, const nlohmann::json& other);

}  // namespace portolan::xds
