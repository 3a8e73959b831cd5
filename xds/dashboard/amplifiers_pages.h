// The page of pods that waste most queries, out of what sidecars reported:
//
//   GET /api/v1/amplifiers?sort=wasted|nxdomain&limit=
//       {"amplifiers": [{"node", "workload", "queries", "searchListQueries", "nxdomain",
//       "upstreamQueries", "wastedPerSecond", "wastedRatio", "savedByAutopath",
//       "savedByTrailingDot", "names": [{"name", "queries", "nxdomain", "advice"}]}], "replicas"}
//
// Wasted is what was asked with an end from the search list and answered NXDOMAIN:
// "searchListQueries" of all "queries" since the sidecar started, "wastedPerSecond" between its
// last two reports (null before the second). The 50 (1 to 5000) that waste most a second, then most
// in all, come first, or those with most NXDOMAIN. "names" are the ten that cost most. The loop's
// thread only.
#pragma once

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "common/http/server.h"
#include "directory/directory.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/report_walk.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

// An entry of the page. REQUIRES: it has reported.
nlohmann::json AmplifierJson(const ReportedSidecar& sidecar, const Snapshot& snapshot,
                             absl::Time now);

// Adds the route to `server`. All outlives the server's answers.
void AddAmplifiersPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                       const AllReplicas& replicas);

}  // namespace portolan::xds
