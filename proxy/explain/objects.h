// What the directory has to do with a lookup: the objects that its answer is made of, and where
// there is no answer, why. The main loop's thread; pure.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "directory/directory.h"

namespace portolan::proxy {

// What is known beside the snapshot.
struct NameSurroundings {
  std::string_view cluster_domain;
  std::string_view own_namespace;
  bool in_sync = false;
};

// For a lookup that `kubernetes` answered out of a Service: "service", a line of a listing
// (directory/listing.h), and "objects": [{"kind", "namespace", "name", "resourceVersion",
// "arrived", "version"}], the Service and its slices, at most kMostObjects. "version" is that of
// the xDS resource, a hash of its content; "arrived" is when the control plane heard of the object.
inline constexpr size_t kMostObjects = 50;
void AddObjects(const Snapshot& snapshot, std::string_view cluster_domain, nlohmann::json& lookup);

// Why a lookup below the cluster's domain has no records: "why", a sentence, and "similar": names
// that were perhaps meant. Nothing for others, and nothing where another link than `kubernetes`
// made the reply (`acl`, `template`), unless it was passed on.
void AddWhy(const Snapshot& snapshot, const NameSurroundings& around, std::string_view type,
            nlohmann::json& lookup);

}  // namespace portolan::proxy
