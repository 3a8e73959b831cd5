// The part of the API that speaks with one sidecar: the control plane asks it over its stream of
// reports and questions, and passes on what it answers.
//
//   GET  /api/v1/sidecars/NAMESPACE/POD/explain?name=&type=&clusterDns=
//   GET  /api/v1/sidecars/NAMESPACE/POD/config_dump
//   GET  /api/v1/sidecars/NAMESPACE/POD/config_dump?type=&continue=
//   POST /api/v1/sidecars/NAMESPACE/POD/logging?level=      (or PUT)
//
// The answers are those of the sidecar's own admin interface (proxy/admin/admin.h). Errors are
// {"error": "..."}: 404 the sidecar is not connected here, 502 it refused or what it says is no
// JSON, 503 it has not answered earlier questions, 504 it did not answer in time. The loop's thread
// only.
#pragma once

#include <nlohmann/json.hpp>

#include "common/http/server.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

// A report as the field "report" of /api/v1/sidecars has it.
nlohmann::json ReportJson(const ReportedSidecar& sidecar);

// Adds the routes to `server`. `sidecars` outlives it.
void AddSidecarPages(http::Server& server, AskedSidecars& sidecars);

}  // namespace portolan::xds
