// The list of policies of each pod that any policy selects: immutable, cheap to derive the next
// version from.
//
// Nearly every policy is for pods of one namespace, so that is what a change copies at most: the
// lists of 5,000 pods where the cluster has 100,000. Pods are named "namespace/name". A finished
// one may be read by any thread without a lock; an Edit belongs to one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/shared_map.h"
#include "common/string_map.h"

namespace portolan::xds {

// Names of the PolicyRules for a pod, sorted.
struct PolicyNames {
  std::vector<std::string> egress = {};
  std::vector<std::string> ingress = {};

  bool empty() const { return egress.empty() && ingress.empty(); }
  friend bool operator==(const PolicyNames&, const PolicyNames&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PolicyNames& names) {
    return H::combine(std::move(h), names.egress, names.ingress);
  }
};

class PodLists {
  template <typename T>
  using ByName = SharedMap<std::string, std::shared_ptr<const T>, StringHash, std::equal_to<>>;
  using OfNamespace = ByName<PolicyNames>;  // by the pod's name

 public:
  using List = std::shared_ptr<const PolicyNames>;

  // Null: no policy selects it.
  const List* Find(std::string_view pod) const;
  size_t size() const;
  bool empty() const { return namespaces_.empty(); }

  // In no order: visit(const std::string& pod, const PolicyNames&).
  template <typename F>
  void ForEach(F&& visit) const {
    namespaces_.ForEach([&](const std::string& ns, const auto& lists) {
      lists->ForEach(
          [&](const std::string& name, const List& list) { visit(ns + "/" + name, *list); });
    });
  }

  class Edit {
   public:
    explicit Edit(const PodLists& from) : namespaces_(from.namespaces_) {}

    const List* Find(std::string_view pod) const;
    void Set(std::string_view pod, List list);
    void Erase(std::string_view pod);

    // The next version.
    PodLists Finish() &&;

   private:
    OfNamespace::Edit& Of(std::string_view ns);

    ByName<OfNamespace> namespaces_;
    StringMap<OfNamespace::Edit> edited_;
  };

 private:
  ByName<OfNamespace> namespaces_;  // none is empty
};

}  // namespace portolan::xds
