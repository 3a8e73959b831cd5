// The sidecar's copy of the control plane's resources: a Directory, and the version of everything
// in it.
//
// A response is applied whole or not at all. One thread; an Image may be read on any.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "directory/directory.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "proxy/feed/endpoint_sets.h"
#include "proxy/feed/held_versions.h"

namespace portolan::proxy {

class Replica {
 public:
  // Whether the endpoints of all Services are taken, or of those that are demanded.
  explicit Replica(Directory::Slices slices = Directory::Slices::kOfAll)
      : directory_(slices), endpoints_(slices) {}

  // Applies and commits a response of one of the directory types: what it brings, what it
  // removes, and each Service's endpoints where they are whole by now. An error names the resource
  // and the field, and then nothing of the response was applied.
  absl::StatusOr<Directory::Committed> Apply(
      const envoy::service::discovery::v3::DeltaDiscoveryResponse& response);

  // Everything as it is after the last response, shared and not copied. Versions are the objects'
  // own (Origin), but for heads and slices, which may be held in another than is shown.
  struct Image {
    std::shared_ptr<const Snapshot> snapshot;
    HeldVersions::Frozen endpoints;
    // Services whose endpoints are held in another version than the snapshot shows.
    StringSet endpoints_in_transit;
  };
  Image image() const;

  // Who has an address is held only for those that are demanded, and so are the endpoints of a
  // Service ("namespace/name") unless all are taken. Others are ignored: the answer crossed with
  // the request that gave them up.
  void Demand(const IpAddress& ip) { demanded_.insert(ip); }
  void Demand(const std::string& service_key) {
    if (directory_.slices() != Directory::Slices::kOfAll) demanded_endpoints_.insert(service_key);
  }
  Directory::Committed GiveUp(const std::vector<IpAddress>& ips,
                              const std::vector<std::string>& service_keys);

  const std::shared_ptr<const Snapshot>& snapshot() const { return directory_.snapshot(); }
  // The resources of a directory type that are held: how many, and visit(name, version) for each.
  size_t held_count(std::string_view type_url) const;
  void ForEachHeld(std::string_view type_url,
                   absl::FunctionRef<void(const std::string&, const std::string&)> visit) const;
  size_t endpoints_in_transit() const { return endpoints_.in_transit_count(); }

 private:
  bool Holds(std::string_view type_url, std::string_view name, std::string_view version) const;
  void Put(Namespace ns, std::string version);
  void Put(Service service, std::string version);
  void Put(api::EndpointsHead head, std::string version);
  void Put(EndpointSlice slice, std::string version);
  void Put(api::ImportedService service, std::string version);
  void Put(AddressOwner owner, std::string version);
  Directory::Committed Commit();
  void Remove(std::string_view type_url, std::string_view name);
  void RemoveImport(std::string_view key);
  void HideImportedSlices(std::string_view key);
  void RemoveOwner(std::string_view address);
  void RemoveEndpoints(std::string_view name);
  bool TakesEndpointsOf(std::string_view service_key) const;

  Directory directory_;
  EndpointSets endpoints_;
  // Without those of which it is known that nobody has them.
  HeldVersions addresses_;
  absl::flat_hash_set<IpAddress> demanded_;
  StringSet demanded_endpoints_;  // Services
};

}  // namespace portolan::proxy
