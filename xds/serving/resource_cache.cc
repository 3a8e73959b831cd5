#include "xds/serving/resource_cache.h"

#include <algorithm>
#include <set>
#include <utility>

namespace portolan::xds {

ResourcePtr ResourceSet::Find(ResourceType type, std::string_view name) const {
  if (type == ResourceType::kAddress) return FindAddress(name);
  if (IsEnvoyType(type)) return envoy_->Find(type, name, *snapshot_);
  const auto* found = of(type).Find(name);
  return found == nullptr ? nullptr : *found;
}

ResourcePtr ResourceSet::FindAddress(std::string_view name) const {
  const auto ip = IpAddress::Parse(name);
  if (!ip.ok() || ip->ToString() != name) return nullptr;
  const Pod* pod = addresses_.FindOwner(*ip);
  std::vector<AddressService> services = addresses_.FindServices(*ip);
  if (pod == nullptr && services.empty()) return nullptr;
  return EncodeAddress(std::string(name), pod, std::move(services));
}

const ResourceSet::Names* ResourceSet::SlicesOf(std::string_view service_key) const {
  const auto* found = slices_.Find(service_key);
  return found == nullptr ? nullptr : found->get();
}

// The next set in the making. A map is copied only when a resource of its type changes.
struct ResourceCache::Edit {
  explicit Edit(const ResourceSet& set)
      : from(set), slices(set.slices_), addresses(set.addresses_) {}

  bool Set(ResourceType type, const ResourcePtr& resource) {
    auto& map = of(type);
    const auto* old = map.Find(resource->name);
    if (old != nullptr && (*old)->version == resource->version) return false;
    changed[static_cast<size_t>(type)].push_back(resource->name);
    const std::string& name = resource->name;
    map.Set(name, resource);
    return true;
  }

  bool Remove(ResourceType type, std::string_view name) {
    if (!of(type).Erase(name)) return false;
    changed[static_cast<size_t>(type)].emplace_back(name);
    return true;
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
  ChangedResources changed;
};

ResourceCache::ResourceCache(std::string_view cluster_domain)
    : envoy_(std::make_shared<EnvoyCache>(cluster_domain)) {
  auto first = std::make_shared<ResourceSet>();
  first->snapshot_ = std::make_shared<const Snapshot>();
  first->envoy_ = envoy_;
  current_ = std::move(first);
}
ResourceCache::~ResourceCache() = default;

ResourceCache::Published ResourceCache::Update(const Directory::Committed& committed) {
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
  return Publish(std::move(edit), committed.snapshot);
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
  if (changed.empty()) return;
  // Services carry their namespace's labels.
  snapshot.ForEachService([&](const Service& service) {
    if (!changed.contains(service.name.ns)) return;
    const std::string key = service.name.ToString();
    if (!committed.changes.services.contains(key)) UpdateService(snapshot, key, edit);
  });
}

void ResourceCache::UpdateService(const Snapshot& snapshot, const std::string& key, Edit& edit) {
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

ResourceCache::Published ResourceCache::SetCorefile(std::string_view corefile) {
  Edit edit(*current_);
  edit.Set(ResourceType::kProxyConfig, EncodeProxyConfig("default", corefile));
  return Publish(std::move(edit), current_->snapshot_);
}

ResourceCache::Published ResourceCache::Publish(Edit edit,
                                                std::shared_ptr<const Snapshot> snapshot) {
  auto next = std::make_shared<ResourceSet>(*current_);
  next->snapshot_ = std::move(snapshot);
  for (size_t i = 0; i < kResourceTypes; ++i) {
    if (edit.resources[i] != nullptr) next->resources_[i] = std::move(*edit.resources[i]).Finish();
    std::sort(edit.changed[i].begin(), edit.changed[i].end());
  }
  next->slices_ = std::move(edit.slices).Finish();
  next->addresses_ = std::move(edit.addresses);
  current_ = std::move(next);
  return {current_, std::move(edit.changed)};
}

}  // namespace portolan::xds
