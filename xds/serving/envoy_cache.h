// The resources of Envoy's standard types, made when they are first asked for and kept as long as
// somebody takes what they change into: a cluster has four of them for each port of a Service, and
// few clusters have clients that ask for any.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/guarded.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "xds/serving/envoy_names.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class EnvoyCache {
 public:
  explicit EnvoyCache(std::string_view cluster_domain) : names_(cluster_domain) {}

  // Any thread. Null if there is none. Of `snapshot`, or of one after it.
  ResourcePtr Find(ResourceType type, std::string_view name, const Snapshot& snapshot) const;

  // Any thread. visit(const std::string& name) for all that a wildcard covers.
  template <typename F>
  void ForEachName(ResourceType type, const Snapshot& snapshot, F&& visit) const {
    snapshot.ForEachService([&](const Service& service) {
      for (const auto& [name, cluster] : names_.NamesOf(type, service)) {
        if (InWildcard(type, name)) visit(name);
      }
    });
  }

  // Any thread. The Service that a name is of; null if there is none.
  const Service* ServiceOf(ResourceType type, std::string_view name,
                           const Snapshot& snapshot) const {
    const auto target = names_.Find(type, name, snapshot);
    return target.has_value() ? target->service : nullptr;
  }
  // Any thread. Adds all names of `service`.
  void AddNames(const Service& service, ChangedResources& to) const;

  // The thread that owns the Directory, for each commit. Adds to `changed` the names whose
  // resource is another now, or (where nobody had asked for it) may be.
  void Follow(const Snapshot& before, const Directory::Committed& committed,
              ChangedResources& changed);

 private:
  struct Entry {
    ResourcePtr resource;
    bool used = true;  // since it last changed
  };
  struct State {
    uint64_t generation = 0;  // of the snapshot that all entries are of
    std::array<StringMap<Entry>, kResourceTypes> entries;
  };

  void FollowNodes(const Snapshot& before, const Directory::Committed& committed,
                   ChangedResources& changed);
  void FollowService(const Service* before, const Service* after, const Snapshot& snapshot,
                     ChangedResources& changed);
  // True if the resource is another now, or may be.
  bool Refresh(ResourceType type, const std::string& name, const Snapshot& snapshot);

  const EnvoyNames names_;
  mutable Guarded<State> state_;
};

}  // namespace portolan::xds
