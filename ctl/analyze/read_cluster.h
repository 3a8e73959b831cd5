// The objects of a cluster by its API, with the operator's own rights. One thread; blocking.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/analyze/objects.h"

namespace portolan::ctl::analyze {

struct ClusterQuery {
  std::string kubeconfig;  // paths as in KUBECONFIG; empty: of the pod that we are in
  std::string context;     // empty: the current one
  std::string ns;          // empty: all namespaces
  absl::Duration timeout = absl::Seconds(10);  // of each answer
  std::string cluster_domain = "cluster.local";
};

struct ClusterObjects {
  Objects objects;
  // Kinds that may not be read, and why: what they would have shown is not found.
  std::vector<std::string> missing;
};

// Of `query.ns` alone where it says one, but for Namespaces, and Services where those of others may
// be read too: they are led to. An error says why the API server cannot be asked, that it did not
// answer, or that there is no such namespace.
absl::StatusOr<ClusterObjects> ReadCluster(const ClusterQuery& query);

}  // namespace portolan::ctl::analyze
