#include "xds/serving/resource_cache.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

template <typename T>
void Cut(std::vector<T>& parts, size_t most) {
  if (parts.size() > most) parts.resize(most);
}

}  // namespace

ResourcePtr ResourceSet::Find(ResourceType type, std::string_view name,
                              const Viewer& viewer) const {
  switch (type) {
    case ResourceType::kAddress:
      return FindAddress(name, viewer);
    case ResourceType::kPeerSet: {
      const PeerSet* peers = FindPeers(name);
      return peers == nullptr ? nullptr : peers->Whole();
    }
    case ResourceType::kPolicyRules:
      return policies_->FindRules(name);
    case ResourceType::kEgressPolicy:
      return FindEgressPolicy(name, viewer);
    default:
      break;
  }
  if (!Sees(viewer, type, name)) return nullptr;
  if (IsEnvoyType(type)) return envoy_->Find(type, name, *snapshot_);
  const auto* found = of(type).Find(name);
  return found == nullptr ? nullptr : *found;
}

bool ResourceSet::Sees(const Viewer& viewer, ResourceType type, std::string_view name) const {
  if (exports_.empty()) return true;
  if (type == ResourceType::kService) return SeesService(viewer, name);
  if (type == ResourceType::kEndpoints) return SeesService(viewer, ServiceOfEndpoints(name));
  if (!IsEnvoyType(type)) return true;
  const Service* service = envoy_->ServiceOf(type, name, *snapshot_);
  return service == nullptr || SeesService(viewer, service->name.ToString());
}

bool ResourceSet::SeesService(const Viewer& viewer, std::string_view key) const {
  const auto* exported = exports_.Find(key);
  return exported == nullptr || (*exported)->Allows(viewer.ns);
}

ResourcePtr ResourceSet::FindAddress(std::string_view name, const Viewer& viewer) const {
  const auto ip = IpAddress::Parse(name);
  if (!ip.ok() || ip->ToString() != name) return nullptr;
  const Pod* pod = addresses_.FindOwner(*ip);
  std::vector<AddressService> services = addresses_.FindServices(
      *ip, [&](const std::string& key) { return SeesService(viewer, key); });
  if (pod == nullptr && services.empty()) return nullptr;
  const Node* node = pod == nullptr ? nullptr : snapshot_->FindNode(pod->node_name);
  return EncodeAddress(std::string(name), pod, node, std::move(services));
}

ResourcePtr ResourceSet::FindEgressPolicy(std::string_view name, const Viewer& viewer) const {
  const PolicyNames* names = viewer.pod == name ? policies_->FindPolicies(name) : nullptr;
  if (names == nullptr) return nullptr;
  const Pod& pod = *snapshot_->FindPod(name);
  api::EgressPolicy policy{names->egress, {}, names->ingress, {}};
  const Node* node = snapshot_->FindNode(pod.node_name);
  if (node != nullptr) policy.node_addresses = node->internal_ips;
  if (!names->ingress.empty()) policy.ports = *pod.named_ports;
  // A sidecar refuses more, and with it every policy of its pod. Fewer allow less.
  Cut(policy.node_addresses, api::kMaxNodeAddresses);
  Cut(policy.ports, api::kMaxPortsOfPod);
  return EncodeResource(ResourceType::kEgressPolicy, std::string(name), api::ToProto(policy),
                        Origin());
}

const ResourceSet::Names* ResourceSet::SlicesOf(std::string_view service_key,
                                                const Viewer& viewer) const {
  const auto* found = slices_.Find(service_key);
  return found == nullptr || !SeesService(viewer, service_key) ? nullptr : found->get();
}

// The next set in the making. A map is copied only when a resource of its type changes.
struct ResourceCache::Edit {
  explicit Edit(const ResourceSet& set)
      : from(set), slices(set.slices_), addresses(set.addresses_), exports(set.exports_) {}

  bool Set(ResourceType type, const ResourcePtr& resource) {
    auto& map = of(type);
    const auto* old = map.Find(resource->name);
    if (old != nullptr && (*old)->version == resource->version) return false;
    MarkChanged(type, resource->name);
    const std::string& name = resource->name;
    map.Set(name, resource);
    return true;
  }

  bool Remove(ResourceType type, std::string_view name) {
    if (!of(type).Erase(name)) return false;
    MarkChanged(type, std::string(name));
    return true;
  }

  void MarkChanged(ResourceType type, std::string name) {
    changed[static_cast<size_t>(type)].push_back(std::move(name));
  }

  ResourceSet::ByName<Resource>::Edit& of(ResourceType type) {
    auto& edit = resources[static_cast<size_t>(type)];
    if (edit == nullptr) {
      edit = std::make_unique<ResourceSet::ByName<Resource>::Edit>(from.of(type));
    }
    return *edit;
  }

  const ResourceSet& from;
  std::array<std::unique_ptr<ResourceSet::ByName<Resource>::Edit>, kResourceTypes> resources;
  ResourceSet::ByName<ResourceSet::Names>::Edit slices;
  AddressIndex addresses;
  ResourceSet::ByName<ExportTo>::Edit exports;
  ChangedResources changed;
};

ResourceCache::ResourceCache(std::string_view cluster_domain)
    : envoy_(std::make_shared<EnvoyCache>(cluster_domain)) {
  auto first = std::make_shared<ResourceSet>();
  first->snapshot_ = std::make_shared<const Snapshot>();
  first->envoy_ = envoy_;
  first->policies_ = policies_.current();
  current_ = std::move(first);
}
ResourceCache::~ResourceCache() = default;

ResourceCache::Published ResourceCache::Update(const Directory::Committed& committed,
                                               absl::Time since) {
  Edit edit(*current_);
  const Snapshot& snapshot = *committed.snapshot;
  UpdateNamespaces(committed, edit);
  for (const std::string& key : committed.changes.services) UpdateService(snapshot, key, edit);
  for (const std::string& key : committed.changes.endpoints) UpdateEndpoints(snapshot, key, edit);
  for (const std::string& key : committed.changes.service_imports) {
    UpdateServiceImport(snapshot, key, edit);
  }
  for (const std::string& key : committed.changes.imported_endpoints) {
    if (!committed.changes.service_imports.contains(key)) UpdateServiceImport(snapshot, key, edit);
  }
  edit.addresses =
      edit.addresses.Next(committed, &edit.changed[static_cast<size_t>(ResourceType::kAddress)]);
  envoy_->Follow(*current_->snapshot_, committed, edit.changed);
  policies_.Follow(committed, edit.changed);
  return Publish(std::move(edit), committed.snapshot, since);
}

void ResourceCache::UpdateNamespaces(const Directory::Committed& committed, Edit& edit) {
  const Snapshot& snapshot = *committed.snapshot;
  std::set<std::string, std::less<>> changed;
  for (const std::string& name : committed.changes.namespaces) {
    const Namespace* ns = snapshot.FindNamespace(name);
    const bool differs = ns == nullptr ? edit.Remove(ResourceType::kNamespace, name)
                                       : edit.Set(ResourceType::kNamespace, EncodeNamespace(*ns));
    if (differs) changed.insert(name);
  }
  if (committed.changes.namespaces.empty()) return;
  // Services carry their namespace's labels, and are exported as it says.
  snapshot.ForEachService([&](const Service& service) {
    if (!committed.changes.namespaces.contains(service.name.ns)) return;
    const std::string key = service.name.ToString();
    if (committed.changes.services.contains(key)) return;
    if (changed.contains(service.name.ns)) {
      UpdateService(snapshot, key, edit);
    } else {
      UpdateExport(snapshot, key, edit);
    }
  });
}

// Who sees a Service from now on, or no longer, is sent it, or its end, as if it had changed.
void ResourceCache::UpdateExport(const Snapshot& snapshot, const std::string& key, Edit& edit) {
  const Service* service = snapshot.FindService(key);
  const auto next = service == nullptr
                        ? nullptr
                        : ExportTo::Of(*service, snapshot.FindNamespace(service->name.ns));
  const auto* before = edit.exports.Find(key);
  if (before == nullptr ? next == nullptr : next != nullptr && **before == *next) return;
  if (next == nullptr) {
    edit.exports.Erase(key);
  } else {
    edit.exports.Set(key, next);
  }
  if (service == nullptr) return;
  edit.MarkChanged(ResourceType::kService, key);
  edit.MarkChanged(ResourceType::kEndpoints, key);
  if (const auto* names = edit.slices.Find(key)) {
    for (const std::string& name : **names) edit.MarkChanged(ResourceType::kEndpoints, name);
  }
  if (const SliceSet* slices = snapshot.FindSlices(key)) {
    for (const auto& [name, slice] : *slices) {
      for (const Endpoint& endpoint : slice->endpoints) {
        for (const IpAddress& ip : endpoint.addresses) {
          edit.MarkChanged(ResourceType::kAddress, ip.ToString());
        }
      }
    }
  }
  envoy_->AddNames(*service, edit.changed);
}

void ResourceCache::UpdateService(const Snapshot& snapshot, const std::string& key, Edit& edit) {
  UpdateExport(snapshot, key, edit);
  const Service* service = snapshot.FindService(key);
  if (service == nullptr) {
    edit.Remove(ResourceType::kService, key);
  } else {
    const Namespace* ns = snapshot.FindNamespace(service->name.ns);
    edit.Set(ResourceType::kService, EncodeService(*service, ns));
  }
}

void ResourceCache::UpdateEndpoints(const Snapshot& snapshot, const std::string& key, Edit& edit) {
  const SliceSet* slices = snapshot.FindSlices(key);
  BuiltSlices next;
  absl::Time arrived;
  if (slices != nullptr) {
    const auto before = built_.find(key);
    for (const auto& [name, slice] : *slices) {
      const BuiltSlice* old = nullptr;
      if (before != built_.end() && before->second.contains(name)) old = &before->second.at(name);
      const bool same = old != nullptr && old->from == slice;
      next[name] = {slice, same ? old->resources : EncodeSlice(*slice)};
      arrived = std::max(arrived, slice->origin.arrived);
    }
  }
  std::vector<ResourcePtr> all;
  auto names = std::make_shared<ResourceSet::Names>();
  for (const auto& [name, built] : next) {
    for (const ResourcePtr& resource : built.resources) {
      edit.Set(ResourceType::kEndpoints, resource);
      names->push_back(resource->name);
      all.push_back(resource);
    }
  }
  if (const auto* old_names = edit.slices.Find(key)) {
    const std::set<std::string_view> kept(names->begin(), names->end());
    for (const std::string& name : **old_names) {
      if (!kept.contains(name)) edit.Remove(ResourceType::kEndpoints, name);
    }
  }
  if (slices == nullptr) {
    built_.erase(key);
    edit.Remove(ResourceType::kEndpoints, key);
    edit.slices.Erase(key);
    return;
  }
  built_.insert_or_assign(key, std::move(next));
  edit.Set(ResourceType::kEndpoints, EncodeHead(key, all, arrived));
  edit.slices.Set(key, std::move(names));
}

void ResourceCache::UpdateServiceImport(const Snapshot& snapshot, const std::string& key,
                                        Edit& edit) {
  const ServiceImport* import = snapshot.FindServiceImport(key);
  if (import == nullptr) {
    edit.Remove(ResourceType::kServiceImport, key);
  } else {
    const SliceSet* slices = snapshot.FindImportedSlices(key);
    edit.Set(ResourceType::kServiceImport, EncodeServiceImport(*import, slices));
  }
}

ResourceCache::Published ResourceCache::SetCorefile(std::string_view name,
                                                    std::string_view corefile) {
  Edit edit(*current_);
  edit.Set(ResourceType::kProxyConfig, EncodeProxyConfig(name, corefile));
  return Publish(std::move(edit), current_->snapshot_, absl::Now());
}

ResourceCache::Published ResourceCache::RemoveCorefile(std::string_view name) {
  Edit edit(*current_);
  edit.Remove(ResourceType::kProxyConfig, name);
  return Publish(std::move(edit), current_->snapshot_, absl::Now());
}

ResourceCache::Published ResourceCache::Publish(Edit edit, std::shared_ptr<const Snapshot> snapshot,
                                                absl::Time since) {
  auto next = std::make_shared<ResourceSet>(*current_);
  next->snapshot_ = std::move(snapshot);
  for (size_t i = 0; i < kResourceTypes; ++i) {
    if (edit.resources[i] != nullptr) next->resources_[i] = std::move(*edit.resources[i]).Finish();
    auto& changed = edit.changed[i];
    std::sort(changed.begin(), changed.end());
    changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  }
  next->slices_ = std::move(edit.slices).Finish();
  next->addresses_ = std::move(edit.addresses);
  next->exports_ = std::move(edit.exports).Finish();
  next->policies_ = policies_.current();
  current_ = std::move(next);
  return {current_, std::move(edit.changed), since};
}

}  // namespace portolan::xds
