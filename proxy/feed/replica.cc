#include "proxy/feed/replica.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"
#include "directory/service_key.h"
#include "proxy/feed/resource_envelope.h"
#include "xds/api/codec.h"

namespace portolan::proxy {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::Resource;

template <typename T>
bool IsHeldIn(const T* object, std::string_view version) {
  return object != nullptr &&
         object->origin.held_version == absl::string_view(version.data(), version.size());
}

bool IsHeldIn(const HeldVersions& versions, std::string_view name, std::string_view version) {
  const std::string* held = versions.Find(name);
  return held != nullptr && *held == version;
}

}  // namespace

absl::StatusOr<Directory::Committed> Replica::Apply(const DeltaDiscoveryResponse& response) {
  struct Parsed {
    api::DirectoryResource resource;
    std::string version;
  };
  const std::string_view type = response.type_url();
  std::vector<Parsed> parsed;
  for (const Resource& resource : response.resources()) {
    if (absl::Status status = CheckEnvelope(resource); !status.ok()) return status;
    auto one = api::ParseDirectoryResource(type, resource);
    if (!one.ok()) return one.status();
    // The same content is not put again: it would be a change to everyone who reads the directory.
    if (Holds(type, resource.name(), resource.version())) continue;
    parsed.push_back({*std::move(one), resource.version()});
  }

  for (const std::string& name : response.removed_resources()) Remove(type, name);
  // A slice that moves from one ServiceImport to another is hidden in the one before it is shown in
  // the other.
  for (const Parsed& one : parsed) {
    if (const auto* imported = std::get_if<api::ImportedService>(&one.resource)) {
      HideImportedSlices(imported->import.name.ToString());
    }
  }
  for (Parsed& one : parsed) {
    std::visit([&](auto& value) { Put(std::move(value), std::move(one.version)); }, one.resource);
  }
  endpoints_.Show(directory_);
  return Commit();
}

Directory::Committed Replica::GiveUp(const std::vector<IpAddress>& ips,
                                     const std::vector<std::string>& service_keys) {
  for (const IpAddress& ip : ips) {
    demanded_.erase(ip);
    addresses_.Erase(ip.ToString());
    directory_.RemoveAddress(ip);
  }
  for (const std::string& key : service_keys) {
    demanded_endpoints_.erase(key);
    endpoints_.Forget(key, directory_);
  }
  return Commit();
}

Directory::Committed Replica::Commit() {
  endpoints_.versions().Commit();
  addresses_.Commit();
  return directory_.Commit();
}

void Replica::Put(Namespace ns, std::string version) {
  ns.origin.held_version = absl::Cord(std::move(version));
  directory_.Put(std::move(ns));
}

void Replica::Put(Service service, std::string version) {
  service.origin.held_version = absl::Cord(std::move(version));
  directory_.Put(std::move(service));
}

bool Replica::TakesEndpointsOf(std::string_view service_key) const {
  return directory_.slices() == Directory::Slices::kOfAll ||
         demanded_endpoints_.contains(service_key);
}

void Replica::Put(api::EndpointsHead head, std::string version) {
  if (!TakesEndpointsOf(head.service_key)) return;
  endpoints_.PutHead(std::move(head), std::move(version));
}

void Replica::Put(EndpointSlice slice, std::string version) {
  if (!TakesEndpointsOf(ServiceKey(slice.name.ns, slice.service).view())) return;
  endpoints_.PutSlice(std::move(slice), std::move(version));
}

void Replica::Put(api::ImportedService service, std::string version) {
  service.import.origin.held_version = absl::Cord(std::move(version));
  for (EndpointSlice& slice : service.slices) directory_.Put(std::move(slice));
  directory_.Put(std::move(service.import));
}

void Replica::Put(AddressOwner owner, std::string version) {
  if (!demanded_.contains(owner.ip)) return;
  addresses_.Set(owner.ip.ToString(), std::move(version));
  directory_.Put(std::move(owner));
}

void Replica::RemoveImport(std::string_view key) {
  if (const ServiceImport* import = directory_.snapshot()->FindServiceImport(key)) {
    directory_.RemoveServiceImport(import->name);
  }
  HideImportedSlices(key);
}

void Replica::HideImportedSlices(std::string_view key) {
  const SliceSet* shown = directory_.snapshot()->FindImportedSlices(key);
  if (shown == nullptr) return;
  for (const auto& [name, slice] : *shown) directory_.RemoveImportedSlice(slice->name);
}

// That nobody has an address is known as well.
void Replica::RemoveOwner(std::string_view address) {
  const auto ip = IpAddress::Parse(address);
  if (!ip.ok() || !demanded_.contains(*ip)) return;
  addresses_.Erase(address);
  const AddressOwner* held = directory_.snapshot()->FindAddress(*ip);
  const bool is_nobody = held != nullptr && held->pod.name.empty() && held->services.empty();
  if (!is_nobody) directory_.Put(AddressOwner{.ip = *ip});
}

void Replica::RemoveEndpoints(std::string_view name) {
  const auto parsed = api::EndpointsName::Parse(name);
  if (parsed && TakesEndpointsOf(parsed->service_key)) endpoints_.Remove(name);
}

void Replica::Remove(std::string_view type_url, std::string_view name) {
  if (type_url == api::kEndpointsType) {
    RemoveEndpoints(name);
  } else if (type_url == api::kServiceImportType) {
    RemoveImport(name);
  } else if (type_url == api::kAddressType) {
    RemoveOwner(name);
  } else if (type_url == api::kNamespaceType) {
    directory_.RemoveNamespace(name);
  } else if (const size_t slash = name.find('/'); slash != std::string_view::npos) {
    directory_.RemoveService(
        {std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))});
  }
}

Replica::Image Replica::image() const {
  return {directory_.snapshot(), endpoints_.versions().frozen(), endpoints_.InTransit()};
}

bool Replica::Holds(std::string_view type_url, std::string_view name,
                    std::string_view version) const {
  if (version.empty()) return false;
  const Snapshot& snapshot = *directory_.snapshot();
  if (type_url == api::kNamespaceType) return IsHeldIn(snapshot.FindNamespace(name), version);
  if (type_url == api::kServiceType) return IsHeldIn(snapshot.FindService(name), version);
  if (type_url == api::kServiceImportType) {
    return IsHeldIn(snapshot.FindServiceImport(name), version);
  }
  if (type_url == api::kAddressType) return IsHeldIn(addresses_, name, version);
  return IsHeldIn(endpoints_.versions(), name, version);
}

size_t Replica::held_count(std::string_view type_url) const {
  const Snapshot& snapshot = *directory_.snapshot();
  if (type_url == api::kNamespaceType) return snapshot.namespace_count();
  if (type_url == api::kServiceType) return snapshot.service_count();
  if (type_url == api::kServiceImportType) return snapshot.service_import_count();
  if (type_url == api::kAddressType) return addresses_.frozen().size();
  return endpoints_.versions().frozen().size();
}

void Replica::ForEachHeld(
    std::string_view type_url,
    absl::FunctionRef<void(const std::string&, const std::string&)> visit) const {
  const Snapshot& snapshot = *directory_.snapshot();
  if (type_url == api::kNamespaceType) {
    snapshot.ForEachNamespace(
        [&](const Namespace& ns) { visit(ns.name, std::string(ns.origin.held_version)); });
  } else if (type_url == api::kServiceType) {
    snapshot.ForEachService([&](const Service& service) {
      visit(service.name.ToString(), std::string(service.origin.held_version));
    });
  } else if (type_url == api::kServiceImportType) {
    snapshot.ForEachServiceImport([&](const ServiceImport& import) {
      visit(import.name.ToString(), std::string(import.origin.held_version));
    });
  } else if (type_url == api::kAddressType) {
    addresses_.frozen().ForEach(visit);
  } else {
    endpoints_.versions().frozen().ForEach(visit);
  }
}

}  // namespace portolan::proxy
