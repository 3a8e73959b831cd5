// The page of DNSEgressPolicies and how many sidecars enforce them, and the same asked of all
// replicas:
//
//   GET /api/v1/policies
//       {"policies": [{"name", "selectedPods", "enforcingSidecars", "partlyEnforced"}], "replicas"}
//
// By name, "DNSEgressPolicy/shop/apis". Pods are those that this replica knows, sidecars those of
// all replicas that answered. The loop's thread only.
#pragma once

#include <functional>
#include <optional>

#include "common/http/server.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/replicas.h"
#include "xds/policy_status/enforcement.h"

namespace portolan::xds {

// Adds the route to `server`. `ours` says what this replica knows; it and `replicas` outlive the
// server's answers.
void AddPoliciesPage(http::Server& server, std::function<EnforcementByPolicy()> ours,
                     const AllReplicas& replicas);

// `ours` with the sidecars of all other replicas; nothing if one of them did not answer. Calls
// `done` once, before it returns or later on the loop.
void CountWithOthers(EnforcementByPolicy ours, Replicas& replicas,
                     std::function<void(const std::optional<EnforcementByPolicy>& all)> done);

}  // namespace portolan::xds
