// All resources that are served, as a sequence of immutable sets that follow the directory.
//
// One thread, the one that owns the Directory, calls the cache; a ResourceSet is read by any
// number of threads without a lock. Only what a commit changed is encoded anew, and what comes out
// the same as before (a resourceVersion that rose without a change that concerns us) stays the
// same resource and is sent to nobody. Addresses, EgressPolicies, PeerSets and the standard types
// (EnvoyCache) are encoded when they are asked for: a cluster has more of them than all clients
// together ask after.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/metrics.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "xds/policy/policy_index.h"
#include "xds/serving/address_index.h"
#include "xds/serving/envoy_cache.h"
#include "xds/serving/export_to.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

// Who asks: a client sees what is exported to its namespace (export_to.h), and of EgressPolicies
// that of its own pod alone.
struct Viewer {
  std::string ns;        // empty: in none
  std::string pod = {};  // NAMESPACE/POD; empty: none
};

class ResourceSet {
 public:
  using Names = std::vector<std::string>;

  // Of the directory. Never null.
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  uint64_t generation() const { return snapshot_->generation(); }

  // What `viewer` sees, here and below. Null if there is none. An address is found by the one text
  // that IpAddress::ToString gives it.
  ResourcePtr Find(ResourceType type, std::string_view name, const Viewer& viewer) const;
  // False: that there is none says nothing. Who has a pod's policies from one replica is not to
  // lose them to another that has not heard of the pod yet, nor is a new pod to be taken for free
  // of any.
  bool KnowsWhetherThereIs(ResourceType type, std::string_view name) const {
    return type != ResourceType::kEgressPolicy || snapshot_->FindPod(name) != nullptr;
  }
  // The full names of the slices that a head lists; null if there is no such head.
  const Names* SlicesOf(std::string_view service_key, const Viewer& viewer) const;
  // Of the types that are made before they are asked for.
  size_t size(ResourceType type) const { return of(type).size(); }

  // A set of peers, be it in difference to an earlier version; null if there is none. Anybody may.
  const PeerSet* FindPeers(std::string_view name) const { return policies_->FindPeers(name); }

  // Which policies are for which pod.
  const PolicySnapshot& policies() const { return *policies_; }

  // Who has which address.
  const AddressIndex& addresses() const { return addresses_; }

  // What a wildcard covers, in no order: visit(const std::string& name, const ResourcePtr&); null
  // where it is made when it is asked for.
  template <typename F>
  void ForEach(ResourceType type, const Viewer& viewer, F&& visit) const {
    const auto show = [&](const std::string& name, const ResourcePtr& made) {
      if (Sees(viewer, type, name)) visit(name, made);
    };
    if (IsEnvoyType(type)) {
      envoy_->ForEachName(type, *snapshot_, [&](const std::string& name) { show(name, nullptr); });
    } else {
      of(type).ForEach(show);
    }
  }

 private:
  friend class ResourceCache;
  template <typename T>
  using ByName = SharedMap<std::string, std::shared_ptr<const T>, StringHash, std::equal_to<>>;

 public:
  // As ForEach, of what is made already, for those who stop on the way; whoever may see it.
  class Walk {
   public:
    // Null after the last.
    ResourcePtr Next() {
      const auto* entry = cursor_.Next();
      return entry == nullptr ? nullptr : entry->second;
    }

   private:
    friend class ResourceSet;
    explicit Walk(const ByName<Resource>& resources) : cursor_(resources) {}
    ByName<Resource>::Cursor cursor_;
  };
  Walk WalkAll(ResourceType type) const { return Walk(of(type)); }

 private:
  const ByName<Resource>& of(ResourceType type) const {
    return resources_[static_cast<size_t>(type)];
  }

  bool Sees(const Viewer& viewer, ResourceType type, std::string_view name) const;
  bool SeesService(const Viewer& viewer, std::string_view key) const;
  ResourcePtr FindAddress(std::string_view name, const Viewer& viewer) const;
  ResourcePtr FindEgressPolicy(std::string_view name, const Viewer& viewer) const;

  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const EnvoyCache> envoy_;
  std::array<ByName<Resource>, kResourceTypes> resources_;
  ByName<Names> slices_;
  AddressIndex addresses_;
  ByName<ExportTo> exports_;  // of Services that not all see
  std::shared_ptr<const PolicySnapshot> policies_;
};

class ResourceCache {
 public:
  struct Published {
    std::shared_ptr<const ResourceSet> set;
    ChangedResources changed;
    absl::Time since;  // when the first of the events behind it arrived
  };

  // `cluster_domain` is in the names of the standard types.
  explicit ResourceCache(std::string_view cluster_domain = "cluster.local");
  ~ResourceCache();

  // `since`: when the first of the events behind it arrived.
  Published Update(const Directory::Committed& committed, absl::Time since = absl::Now());
  // The ProxyConfig of that name, which it has from now on, or which is gone.
  Published SetCorefile(std::string_view name, std::string_view corefile);
  Published RemoveCorefile(std::string_view name);

  void AddMetrics(MetricFamilies& families) const { policies_.AddMetrics(families); }

  // The last one published; never null.
  const std::shared_ptr<const ResourceSet>& current() const { return current_; }

 private:
  struct Edit;
  struct BuiltSlice {
    std::shared_ptr<const EndpointSlice> from;
    std::vector<ResourcePtr> resources;
  };
  using BuiltSlices = std::map<std::string, BuiltSlice, std::less<>>;  // by slice name

  void UpdateNamespaces(const Directory::Committed& committed, Edit& edit);
  void UpdateExport(const Snapshot& snapshot, const std::string& key, Edit& edit);
  void UpdateService(const Snapshot& snapshot, const std::string& key, Edit& edit);
  void UpdateEndpoints(const Snapshot& snapshot, const std::string& key, Edit& edit);
  void UpdateServiceImport(const Snapshot& snapshot, const std::string& key, Edit& edit);
  Published Publish(Edit edit, std::shared_ptr<const Snapshot> snapshot, absl::Time since);

  const std::shared_ptr<EnvoyCache> envoy_;
  PolicyIndex policies_;
  std::shared_ptr<const ResourceSet> current_;
  // What the slices in force were made from, by service key, so that a set of slices of which one
  // changed costs one encoding.
  StringMap<BuiltSlices> built_;
};

}  // namespace portolan::xds
