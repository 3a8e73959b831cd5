// The objects of a cluster by its API, with the operator's own rights. One thread; blocking.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/analyze/objects.h"

namespace portolan::ctl::analyze {

struct ClusterObjects {
  Objects objects;
  // Kinds that could not be read, and why: what they would have shown is not found.
  std::vector<std::string> missing;
};

// `kubeconfig`: paths as in KUBECONFIG; empty: of the pod that we are in. `context` empty: the
// current one. `ns` empty: all namespaces. An error says why the API server cannot be asked.
absl::StatusOr<ClusterObjects> ReadCluster(const std::string& kubeconfig,
                                           const std::string& context, const std::string& ns);

}  // namespace portolan::ctl::analyze
