// Between the messages of portolan.v1 and the directory's model, both ways: what the control plane
// sends, what a sidecar reads, and what it keeps on disk are one encoding.
//
// What comes in was written by another program, so everything a reader of the model relies on is
// checked here and nowhere else: names have the right shape and length, addresses 4 or 16 bytes,
// ports 16 bits, enums known values, and a resource's body says the same name as its envelope.
// Pure functions; any thread. Errors name the resource and the field.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "directory/directory.h"
#include "directory/model.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/config.pb.h"
#include "portolan/v1/directory.pb.h"

namespace portolan::api {

inline constexpr std::string_view kNamespaceType = "type.googleapis.com/portolan.v1.Namespace";
inline constexpr std::string_view kServiceType = "type.googleapis.com/portolan.v1.Service";
inline constexpr std::string_view kEndpointsType = "type.googleapis.com/portolan.v1.Endpoints";
inline constexpr std::string_view kServiceImportType =
    "type.googleapis.com/portolan.v1.ServiceImport";
inline constexpr std::string_view kAddressType = "type.googleapis.com/portolan.v1.Address";
inline constexpr std::string_view kPeerSetType = "type.googleapis.com/portolan.v1.PeerSet";
inline constexpr std::string_view kPolicyRulesType = "type.googleapis.com/portolan.v1.PolicyRules";
inline constexpr std::string_view kEgressPolicyType =
    "type.googleapis.com/portolan.v1.EgressPolicy";
inline constexpr std::string_view kProxyConfigType = "type.googleapis.com/portolan.v1.ProxyConfig";

// The two shapes of an Endpoints resource's name. Views into the text it was read from.
struct EndpointsName {
  std::string_view service_key;  // NAMESPACE/SERVICE
  std::string_view slice;        // empty: the head

  static std::optional<EndpointsName> Parse(std::string_view name);
};

// The list of slices that make up a Service's set of endpoints.
struct EndpointsHead {
  struct Listed {
    std::string slice;  // last part of the resource's name
    std::string version;
  };
  std::string service_key;
  std::vector<Listed> slices;
};

// A ServiceImport with all its slices, which change as one.
struct ImportedService {
  ServiceImport import;
  std::vector<EndpointSlice> slices;
};

// A slice's model carries the last part of the resource's name ("backend-x7k2p#2") as its name, so
// that the pieces of one large EndpointSlice stay apart.
using DirectoryResource =
    std::variant<Namespace, Service, EndpointsHead, EndpointSlice, ImportedService, AddressOwner>;

// `type_url` is one of the above but ProxyConfig's; anything else is an error.
absl::StatusOr<DirectoryResource> ParseDirectoryResource(
    std::string_view type_url, const envoy::service::discovery::v3::Resource& resource);

absl::StatusOr<v1::ProxyConfig> ParseProxyConfig(
    const envoy::service::discovery::v3::Resource& resource);

// Beside the resource, not in it, so that its version stays a hash of its content. An origin that
// was never set is not said, nor is `triggered` (EndpointSlice::triggered) in the infinite past.
void SetOrigin(const Origin& origin, absl::Time triggered,
               envoy::service::discovery::v3::Resource& resource);

v1::Namespace ToProto(const Namespace& ns);
// Without namespace_labels: they are the Namespace's.
v1::Service ToProto(const Service& service);
v1::Endpoints ToProto(const EndpointSlice& slice);
// A piece of `slice`: `endpoints` are some of its own, `name` is the last part of the resource's.
v1::Endpoints ToProto(const EndpointSlice& slice, std::string_view name,
                      std::span<const Endpoint> endpoints);
v1::Endpoints ToProto(const EndpointsHead& head);
// `slices` may be null: none. Endpoints beyond kMaxImportedEndpoints are left out.
inline constexpr size_t kMaxImportedEndpoints = 10'000;
v1::ServiceImport ToProto(const ServiceImport& import, const SliceSet* slices);
// REQUIRES: somebody has the address.
v1::Address ToProto(const AddressOwner& owner);

}  // namespace portolan::api
