// The page of what policy denied, out of what sidecars reported:
//
//   GET /api/v1/denials?namespace=&pod=&policy=&name=&search=&limit=&continue=
//       {"denials": [{"node", "workload", "what": "connection"|"flow"|"name"|"dns"|..., "mode":
//       "enforced"|"audit", "name", "address", "port", "policies", "nearest", "count", "last"}],
//       "continue", "replicas"}
//
// A row is one kind of denial of one sidecar, of which each reports its latest 32; the fields are
// those of DenialReport (portolan/v1/sidecars.proto). Newest first, by "last"; what is denied again
// meanwhile is not on a later page. `namespace` and `pod` are the sidecar's; `policy` is part of
// "policies", `name` of the name or the address, `search` of any of these or the node. The loop's
// thread only.
#pragma once

#include "common/http/server.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/report_walk.h"

namespace portolan::xds {

// Adds the route to `server`. All outlives the server's answers.
void AddDenialsPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                    const AllReplicas& replicas);

}  // namespace portolan::xds
