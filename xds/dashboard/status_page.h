// The page of the control plane itself:
//
//   GET /api/v1/status
//       {"program", "version", "replica", "source", "ready", "generation", "clusterDomain",
//       "services", "endpoints", "namespaces", "sidecars", "replicas", "historySince", "now"}
//
// "sidecars" are those of all replicas that answered; the rest is what this one has. The loop's
// thread only.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/http/server.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/names_index.h"

namespace portolan::xds {

struct StatusSources {
  const NamesIndex& index;
  const AllReplicas& replicas;
  std::string version;
  std::string source;                         // as --source names it
  std::function<bool()> ready;                // everything was read once
  std::function<size_t()> clients;            // connected to this replica
  std::function<absl::Time()> history_since;  // absl::Time(): there is none; null: none is kept
};

// Adds the route to `server`. What `sources` names outlives the server's answers.
void AddStatusPage(http::Server& server, StatusSources sources);

}  // namespace portolan::xds
