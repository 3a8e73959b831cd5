// Which policies are for which pod and which addresses their rules mean, following the directory.
//
// A commit costs what it changes: of a pod the selectors that may be for it are looked at, and a
// set of 5,000 peers that one joins shares all but a few hundred with the set before; a policy that
// changes is compared with the pods of the namespaces that it speaks of. Pods with the same list of
// policies share it. What sidecars are served is a PolicySnapshot, immutable and read by any thread
// without a lock. Numbers: docs/scale.md.
//
// What selects what: directory/network_policy.h and
// https://kubernetes.io/docs/concepts/services-networking/network-policies/. A pod on its host's
// network is selected by nothing. Peers are pods that have an address and have not finished; one
// that terminates is a peer until it is gone. A port's name stands for the number that it has at
// each peer with a container port of that name and protocol; of ingress, at the pod itself, where
// the sidecar knows it. A pod may have policies of one direction alone: it is isolated for no
// other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/metrics.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "xds/policy/peer_sets.h"
#include "xds/policy/pod_lists.h"
#include "xds/policy/policy_resources.h"
#include "xds/policy/selections.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class PolicySnapshot {
 public:
  // By the name of the resource; null if there is none. A set is there as long as a policy refers
  // to it, with or without members.
  ResourcePtr FindRules(std::string_view name) const;
  const PeerSet* FindPeers(std::string_view name) const;
  // By the pod's "namespace/name"; null: no policy selects it.
  const PolicyNames* FindPolicies(std::string_view pod_key) const;

  // Those that any policy selects: visit(const std::string& pod_key, const PolicyNames&)
  template <typename F>
  void ForEachPod(F&& visit) const {
    pods_.ForEach(std::forward<F>(visit));
  }

  size_t rules_count() const { return rules_.size(); }
  size_t peer_set_count() const { return peers_.size(); }
  size_t selected_pod_count() const { return pods_.size(); }

 private:
  friend class PolicyIndex;
  template <typename T>
  using ByName = SharedMap<std::string, std::shared_ptr<const T>, StringHash, std::equal_to<>>;

  ByName<Resource> rules_;
  ByName<PeerSet> peers_;
  PodLists pods_;
};

// One thread, the one that owns the Directory.
class PolicyIndex {
 public:
  // What new sets and those that change are counted in takes up memory until it is committed: 24
  // bytes for each address of each set. This many are at once.
  static constexpr size_t kMostCounts = 2'000'000;

  explicit PolicyIndex(size_t most_counts = kMostCounts);

  // For each commit. Adds the names of resources that are others now to `changed`.
  void Follow(const Directory::Committed& committed, ChangedResources& changed);

  // After the last commit; never null.
  const std::shared_ptr<const PolicySnapshot>& current() const { return current_; }

  void AddMetrics(MetricFamilies& families) const;

 private:
  using Selection = Selections::Selection;
  using Names = PolicyNames;

  // What stands on selections for one policy.
  struct Followed {
    Selection* pods;
    std::vector<std::pair<Selection*, std::string>> peers;  // with the name of the set
  };
  struct NamesHash {
    using is_transparent = void;
    size_t operator()(const Names& names) const { return absl::HashOf(names); }
    size_t operator()(const std::shared_ptr<const Names>& names) const { return (*this)(*names); }
  };
  struct NamesEq {
    using is_transparent = void;
    static const Names& Of(const Names& names) { return names; }
    static const Names& Of(const std::shared_ptr<const Names>& names) { return *names; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) == Of(b);
    }
  };
  struct Edit;

  void FollowNamespace(const std::string& ns, Edit& edit);
  void FollowPolicy(const std::string& name, Edit& edit);
  Followed StandOn(const PolicyResource& policy, Edit& edit);
  void Release(const Followed& policy, Edit& edit);
  void LookAtSelected(Edit& edit);
  void DropReleased(Edit& edit);
  void FollowPod(const std::string& key, Edit& edit);
  void FollowNodes(const DirectoryChanges& changes, Edit& edit);
  void CountPeers(const Pod& pod, int by, Edit& edit);
  Names PoliciesFor(const Pod& pod);
  void SetPolicies(const std::string& key, Names names, Edit& edit);
  std::shared_ptr<const Names> Share(Names names);
  void Unshare(const std::shared_ptr<const Names>& names);

  const size_t most_counts_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const PolicySnapshot> current_;
  Selections selections_;
  StringMap<Followed> policies_;  // by name of PolicyRules
  // Each list of policies once, with the number of pods that have it.
  absl::flat_hash_map<std::shared_ptr<const Names>, size_t, NamesHash, NamesEq> lists_;
};

}  // namespace portolan::xds
