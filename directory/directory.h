// The directory: every namespace, Service, ServiceImport, EndpointSlice and Pod that is known, and
// in a control plane Nodes, Service ranges and policies, as a sequence of immutable snapshots.
//
// One thread owns a Directory and writes to it: a source (control plane) or the feed (sidecar).
// Changes collect until Commit, which gives the next Snapshot and the list of what is different in
// it. A Snapshot is read by any number of threads without a lock; it shares all that did not change
// with the one before, so that a commit of one change costs microseconds at 100,000 endpoints.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/btree_set.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "directory/address_map.h"
#include "directory/dns_egress_policy.h"
#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan {

// All slices of one Service or ServiceImport, by slice name. Slices may arrive before it and stay
// after it. Empty: it is known that there are none (Directory::PutNoSlices).
using SliceSet = std::map<std::string, std::shared_ptr<const EndpointSlice>, std::less<>>;

// How Services are found by their names without a key beside each.
struct NameView {
  std::string_view ns;
  std::string_view name;
  friend bool operator==(const NameView&, const NameView&) = default;
};
struct ServiceHash {
  using is_transparent = void;
  size_t operator()(const NameView& key) const {
    return absl::HashOf(absl::string_view(key.ns.data(), key.ns.size()),
                        absl::string_view(key.name.data(), key.name.size()));
  }
  size_t operator()(const std::shared_ptr<const Service>& service) const {
    return (*this)({service->name.ns, service->name.name});
  }
};
struct ServiceEq {
  using is_transparent = void;
  static NameView Key(const NameView& key) { return key; }
  static NameView Key(const std::shared_ptr<const Service>& service) {
    return {service->name.ns, service->name.name};
  }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Key(a) == Key(b);
  }
};

// Keys of the maps below are "namespace/name".
class Snapshot {
 public:
  // Counts commits; 0 is the empty snapshot before the first.
  uint64_t generation() const { return generation_; }

  const Namespace* FindNamespace(std::string_view name) const;
  const Service* FindService(std::string_view key) const;
  const Service* FindService(std::string_view ns, std::string_view name) const;
  // Null: it has none, or it is not known whether it has (KnowsSlices).
  const SliceSet* FindSlices(std::string_view service_key) const;
  const ServiceImport* FindServiceImport(std::string_view key) const;
  const SliceSet* FindImportedSlices(std::string_view import_key) const;
  const Pod* FindPod(std::string_view key) const;
  const Node* FindNode(std::string_view name) const;
  const ServiceCidr* FindServiceCidr(std::string_view name) const;
  const NetworkPolicy* FindNetworkPolicy(std::string_view key) const;
  const DnsEgressPolicy* FindDnsEgressPolicy(std::string_view key) const;  // DnsEgressPolicy::Key
  // The Service that has `ip` as cluster, external or load-balancer address; null if none.
  const Service* FindServiceByAddress(const IpAddress& ip) const;
  // Null: not held, which says nothing about who has the address.
  const AddressOwner* FindAddress(const IpAddress& ip) const;

  // False: slices are held of those Services alone that were asked for.
  bool holds_all_slices() const { return holds_all_slices_; }
  bool KnowsSlices(std::string_view service_key) const {
    return holds_all_slices_ || FindSlices(service_key) != nullptr;
  }

  size_t namespace_count() const { return namespaces_.size(); }
  size_t service_count() const { return services_.size(); }
  size_t slice_set_count() const { return slices_.size(); }
  size_t service_import_count() const { return imports_.size(); }
  size_t pod_count() const { return pods_.size(); }

  template <typename F>
  void ForEachService(F&& visit) const {
    services_.ForEachEntry([&](const auto& service) { visit(*service); });
  }
  // visit(service_key, const SliceSet&)
  template <typename F>
  void ForEachSliceSet(F&& visit) const {
    slices_.ForEach([&](const std::string& key, const auto& set) { visit(key, *set); });
  }
  template <typename F>
  void ForEachServiceImport(F&& visit) const {
    imports_.ForEach([&](const std::string&, const auto& import) { visit(*import); });
  }
  // visit(import_key, const SliceSet&)
  template <typename F>
  void ForEachImportedSliceSet(F&& visit) const {
    imported_slices_.ForEach([&](const std::string& key, const auto& set) { visit(key, *set); });
  }
  template <typename F>
  void ForEachNamespace(F&& visit) const {
    namespaces_.ForEach([&](const std::string&, const auto& ns) { visit(*ns); });
  }
  template <typename F>
  void ForEachPod(F&& visit) const {
    pods_.ForEach([&](const std::string&, const auto& pod) { visit(*pod); });
  }
  template <typename F>
  void ForEachNode(F&& visit) const {
    nodes_.ForEach([&](const std::string&, const auto& node) { visit(*node); });
  }
  template <typename F>
  void ForEachServiceCidr(F&& visit) const {
    service_cidrs_.ForEach([&](const std::string&, const auto& range) { visit(*range); });
  }
  template <typename F>
  void ForEachNetworkPolicy(F&& visit) const {
    policies_.ForEach([&](const std::string&, const auto& policy) { visit(*policy); });
  }
  template <typename F>
  void ForEachDnsEgressPolicy(F&& visit) const {
    dns_policies_.ForEach([&](const std::string&, const auto& policy) { visit(*policy); });
  }
  template <typename F>
  void ForEachAddress(F&& visit) const {
    owners_.ForEach([&](const IpAddress&, const auto& owner) { visit(*owner); });
  }

  template <typename T>
  using ByName = SharedMap<std::string, std::shared_ptr<const T>, StringHash, std::equal_to<>>;
  using Services = SharedSet<std::shared_ptr<const Service>, ServiceHash, ServiceEq>;
  // For a walk that is interrupted.
  Services::Cursor services() const { return Services::Cursor(services_); }

 private:
  friend class Directory;

  uint64_t generation_ = 0;
  bool holds_all_slices_ = true;
  ByName<Namespace> namespaces_;
  Services services_;
  ByName<SliceSet> slices_;
  ByName<ServiceImport> imports_;
  ByName<SliceSet> imported_slices_;
  ByName<Pod> pods_;
  ByName<Node> nodes_;
  ByName<ServiceCidr> service_cidrs_;
  ByName<NetworkPolicy> policies_;
  ByName<DnsEgressPolicy> dns_policies_;
  AddressMap<const Service*> service_addresses_;  // of services_
  SharedMap<IpAddress, std::shared_ptr<const AddressOwner>> owners_;
};

// What a commit changed: keys of objects that were added, replaced or removed. A key whose object
// is no longer in the snapshot was removed. For a slice, `services` is not touched; `endpoints`
// (`imported_endpoints`) names the Service (ServiceImport) whose set of slices changed.
struct DirectoryChanges {
  absl::btree_set<std::string> namespaces;
  absl::btree_set<std::string> services;
  absl::btree_set<std::string> endpoints;
  absl::btree_set<std::string> service_imports;
  absl::btree_set<std::string> imported_endpoints;
  absl::btree_set<std::string> pods;
  absl::btree_set<std::string> nodes;
  absl::btree_set<std::string> service_cidrs;
  absl::btree_set<std::string> network_policies;
  absl::btree_set<std::string> dns_egress_policies;
  absl::btree_set<IpAddress> addresses;

  bool empty() const {
    return namespaces.empty() && services.empty() && endpoints.empty() && service_imports.empty() &&
           imported_endpoints.empty() && pods.empty() && nodes.empty() && service_cidrs.empty() &&
           network_policies.empty() && dns_egress_policies.empty() && addresses.empty();
  }
};

class Directory {
 public:
  // Of which Services it is told the slices.
  enum class Slices { kOfAll, kOfThoseAskedFor };
  explicit Directory(Slices slices = Slices::kOfAll);
  ~Directory();

  void Put(Namespace ns);
  void Put(Service service);
  void Put(EndpointSlice slice);
  void Put(std::shared_ptr<const EndpointSlice> slice);  // never null
  void Put(ServiceImport import);
  void Put(Pod pod);
  void Put(Node node);
  void Put(ServiceCidr range);
  void Put(NetworkPolicy policy);
  void Put(DnsEgressPolicy policy);
  void Put(AddressOwner owner);
  // Removing what is not there changes nothing.
  void RemoveNamespace(std::string_view name);
  void RemoveService(const ObjectName& name);
  void RemoveSlice(const ObjectName& name);
  void RemoveServiceImport(const ObjectName& name);
  void RemoveImportedSlice(const ObjectName& name);
  void RemovePod(const ObjectName& name);
  void RemoveNode(std::string_view name);
  void RemoveServiceCidr(std::string_view name);
  void RemoveNetworkPolicy(const ObjectName& name);
  void RemoveDnsEgressPolicy(std::string_view key);
  void RemoveAddress(const IpAddress& ip);
  // With Slices::kOfThoseAskedFor: it is known that the Service has none, and it is not known any
  // more what it has.
  void PutNoSlices(const std::string& service_key);
  void ForgetSlices(const std::string& service_key);

  Slices slices() const {
    return current_->holds_all_slices() ? Slices::kOfAll : Slices::kOfThoseAskedFor;
  }

  // True if anything was put or removed since the last commit.
  bool dirty() const { return !pending_.empty(); }

  struct Committed {
    std::shared_ptr<const Snapshot> snapshot;
    DirectoryChanges changes;
  };
  // The next snapshot; the current one and no changes if nothing is pending.
  Committed Commit();

  // The last committed one; never null.
  const std::shared_ptr<const Snapshot>& snapshot() const { return current_; }

 private:
  struct Edits;
  Edits& edits();
  void Claim(const IpAddress& ip, const Service& service);
  void Disclaim(const IpAddress& ip, const ObjectName& service);
  // The slices of Services, or of ServiceImports, while they are edited.
  struct SliceFile;
  SliceFile FileOf(bool imported);
  void Unfile(const ObjectName& slice, const SliceFile& file);

  std::shared_ptr<const Snapshot> current_;
  std::unique_ptr<Edits> edits_;
  DirectoryChanges pending_;
  // Slice key -> service key it is filed under, so that a slice whose label changes moves.
  StringMap<std::string> slice_home_;
  StringMap<std::string> imported_slice_home_;
  // Who claims an address that more than one Service claims, cluster IPs before external addresses,
  // then oldest claim first: two Services may name the same external address, and when the first
  // goes the other takes over. Usually empty.
  absl::flat_hash_map<IpAddress, std::vector<ObjectName>> address_claims_;
};

}  // namespace portolan
