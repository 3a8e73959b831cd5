// Which selectors of the cluster's policies select a pod, and which pods a selector selects.
//
// Each selector is held once, whoever says it, with all that stands on it: the policies that are
// for these pods, and the sets of peers that they make up, one for each name of a port. A pod is
// compared with those selectors alone that are for its namespace and want one of its labels. What
// changes of a pod or of its namespace's labels is the caller's to follow: take the pod out, change
// it, put it in. One thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "common/string_map.h"
#include "directory/model.h"
#include "xds/policy/peer_sets.h"
#include "xds/policy/selector.h"

namespace portolan::xds {

// With the label that the API server gives to each namespace, kubernetes.io/metadata.name. `now` is
// null when there is no such Namespace, which pods may be in all the same.
LabelMap NamespaceLabels(const std::string& ns, const Namespace* now);

class Selections {
 public:
  // A set of peers with the number of policies that refer to it.
  struct Referred {
    CountedPeers peers;
    size_t policies = 0;
  };
  class Scope;
  struct Selection {
    PodSelector selector;
    std::set<std::string> policies;        // names of PolicyRules that are for these pods
    std::map<std::string, Referred> sets;  // by name
    Scope* scope;
  };

  Selections();
  ~Selections();
  Selections(const Selections&) = delete;
  Selections& operator=(const Selections&) = delete;

  // The one of this selector, which is made if there is none. Stays where it is.
  Selection& At(const PodSelector& selector);
  // If nothing stands on it, it is gone.
  void DropIfUnused(Selection& selection);

  LabelMap LabelsOf(const std::string& ns) const;
  // `now` is null when there is no such Namespace.
  void SetNamespace(const std::string& ns, const Namespace* now);

  // It stays as it is until it is removed. A pod on its host's network is never selected.
  void AddPod(const Pod& pod);
  void RemovePod(const Pod& pod);
  std::vector<const Pod*> PodsIn(const std::string& ns) const;

  // What selects a pod, be it one that was never added.
  void ForEachOf(const Pod& pod, absl::FunctionRef<void(Selection&)> visit);
  // The pods that any of these selects, with each that does.
  using Some = absl::flat_hash_set<Selection*>;
  void ForEachSelected(const Some& selections,
                       absl::FunctionRef<void(const Pod&, Selection&)> visit);

 private:
  struct KnownNamespace {
    bool exists = false;
    LabelMap labels;
    std::vector<Scope*> scopes;  // that it is in
    absl::flat_hash_set<const Pod*> pods;
  };

  void SetLabels(const std::string& ns, const Namespace* now, KnownNamespace& known);
  void ForgetIfUnused(const std::string& ns);
  void ForEachPodIn(const Scope& scope, absl::FunctionRef<void(const Pod&)> visit) const;

  StringMap<std::unique_ptr<Scope>> scopes_;  // by ScopeText
  StringMap<KnownNamespace> namespaces_;
};

}  // namespace portolan::xds
