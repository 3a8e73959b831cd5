// The resources that sidecars subscribe to, as bytes on the wire.
//
// A resource is encoded once, when it changes, and the bytes are shared by every stream that sends
// it. Its version is a hash of its content, so that all replicas of the control plane agree on it.
// What each resource holds: xds/api/portolan/v1/. Any thread; immutable once made.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "directory/directory.h"
#include "directory/model.h"

namespace portolan::xds {

// In the order in which a stream sends them: what others refer to comes first (make before break).
enum class ResourceType : uint8_t {
  kProxyConfig,
  kNamespace,
  kService,
  kEndpoints,
  kServiceImport,
  kAddress,
  kPeerSet,
  kPolicyRules,
  kEgressPolicy,
  // Envoy's standard types.
  kCluster,
  kLoadAssignment,
  kListener,
  kRoute
};
inline constexpr size_t kResourceTypes = 13;

std::string_view TypeUrl(ResourceType type);
std::optional<ResourceType> ResourceTypeOf(std::string_view type_url);

inline bool IsEnvoyType(ResourceType type) { return type >= ResourceType::kCluster; }
// Whether a wildcard subscription covers that name: not an address, nor what policies are made of,
// nor what only those can use who ask for it (xds/serving/envoy_names.h).
bool InWildcard(ResourceType type, std::string_view name);

// Names of each type that were added, replaced or removed, sorted.
using ChangedResources = std::array<std::vector<std::string>, kResourceTypes>;

// NAMESPACE/SERVICE of NAMESPACE/SERVICE/SLICE, and of NAMESPACE/SERVICE itself.
std::string_view ServiceOfEndpoints(std::string_view name);

inline constexpr size_t kVersionDigits = 15;

struct Resource {
  std::string name;
  std::string version;  // kVersionDigits hexadecimal digits
  // A `resources` field of a DeltaDiscoveryResponse, complete: tag, length, Resource message.
  grpc::Slice wire;
};
using ResourcePtr = std::shared_ptr<const Resource>;

// The same bytes as a `resources` field of a DiscoveryResponse, complete.
grpc::Slice StateField(const Resource& resource);

// Deterministic: equal content gives an equal version on every replica. The origin travels in
// Resource.metadata and has no part in the version; so does `triggered`, of an EndpointSlice.
ResourcePtr EncodeResource(ResourceType type, std::string name,
                           const google::protobuf::Message& content, const Origin& origin,
                           absl::Time triggered = absl::InfinitePast());
// Without metadata, of a version that says by itself what the content is.
ResourcePtr EncodeResource(ResourceType type, std::string name, std::string version,
                           const google::protobuf::Message& content);

ResourcePtr EncodeNamespace(const Namespace& ns);
// `ns` is null when there is no such namespace.
ResourcePtr EncodeService(const Service& service, const Namespace* ns);
// With its slices, null if it has none. `arrived` is the latest of theirs and its own.
ResourcePtr EncodeServiceImport(const ServiceImport& import, const SliceSet* slices);
// Named by the address in text. `pod` is null where no pod has it, `node` where the pod's is not
// known.
ResourcePtr EncodeAddress(std::string name, const Pod* pod, const Node* node,
                          std::vector<AddressService> services);
ResourcePtr EncodeProxyConfig(std::string_view name, std::string_view corefile);

inline constexpr size_t kEndpointsPerSlice = 100;

// NAMESPACE/SERVICE/SLICE, and SLICE#2 and so on for what is over kEndpointsPerSlice.
std::vector<ResourcePtr> EncodeSlice(const EndpointSlice& slice);
// NAMESPACE/SERVICE: the names and versions of its slices. `arrived` is the latest of theirs.
ResourcePtr EncodeHead(const std::string& service_key, const std::vector<ResourcePtr>& slices,
                       absl::Time arrived);

}  // namespace portolan::xds
