// Manifests as the cluster that they would become, for what policies say of it without one: pods
// that no node has given an address have one that stands in for it, and Services lead to the pods
// that they select. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/analyze/read_files.h"
#include "directory/directory.h"

namespace portolan::ctl {

struct ManifestCluster {
  // The endpoint that stands for all pods of a StatefulSet has the hostname "db-*".
  std::shared_ptr<const Snapshot> snapshot;
  // Whom the addresses stand for that no manifest has: "default/backend". Of 240.0.0.0/4, which no
  // cluster has (RFC 1112, section 4).
  std::map<IpAddress, std::string> stand_ins;
};

// Pods are those of the manifests, one for each template of pods that is not made of another,
// called as the object is, and `from`, without labels where none of them is called so. Templates
// that share a name, or have that of a Pod, have their kind behind it: "api-cronjob", once more
// where something is called so. An error names the file, the line and the field, or the pods of
// which `from` may be any.
absl::StatusOr<ManifestCluster> ReadManifestCluster(const std::vector<std::string>& paths,
                                                    analyze::Folders folders,
                                                    const ObjectName& from);

}  // namespace portolan::ctl
