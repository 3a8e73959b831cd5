#include "xds/serving/resource.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/evp.h>

#include <algorithm>
#include <span>

#include "common/log.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/config.pb.h"
#include "portolan/v1/directory.pb.h"
#include "xds/api/codec.h"

namespace portolan::xds {
namespace {

// Maps have no order of their own in protobuf; here it is that of their keys.
std::string SerializeDeterministically(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string HashOf(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  std::string hex;
  for (int i = 0; i < 8; ++i) hex += fmt::format("{:02x}", digest[i]);
  // What strings and Cords hold without a block of memory of its own.
  hex.resize(kVersionDigits);
  return hex;
}

// `origin` is null where there is nothing to say of it.
ResourcePtr Enclose(ResourceType type, std::string name, std::string version, std::string bytes,
                    const Origin* origin, absl::Time triggered) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse field;
  auto& message = *field.add_resources();
  message.set_name(name);
  message.set_version(version);
  message.mutable_resource()->set_type_url(std::string(TypeUrl(type)));
  message.mutable_resource()->set_value(std::move(bytes));
  if (origin != nullptr) api::SetOrigin(*origin, triggered, message);
  auto resource = std::make_shared<Resource>();
  resource->name = std::move(name);
  resource->version = std::move(version);
  resource->wire = grpc::Slice(SerializeDeterministically(field));
  return resource;
}

}  // namespace

std::string_view TypeUrl(ResourceType type) {
  switch (type) {
    case ResourceType::kProxyConfig:
      return api::kProxyConfigType;
    case ResourceType::kNamespace:
      return api::kNamespaceType;
    case ResourceType::kService:
      return api::kServiceType;
    case ResourceType::kEndpoints:
      return api::kEndpointsType;
    case ResourceType::kServiceImport:
      return api::kServiceImportType;
    case ResourceType::kAddress:
      return api::kAddressType;
    case ResourceType::kPeerSet:
      return api::kPeerSetType;
    case ResourceType::kPolicyRules:
      return api::kPolicyRulesType;
    case ResourceType::kEgressPolicy:
      return api::kEgressPolicyType;
    case ResourceType::kCluster:
      return "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    case ResourceType::kLoadAssignment:
      return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    case ResourceType::kListener:
      return "type.googleapis.com/envoy.config.listener.v3.Listener";
    case ResourceType::kRoute:
      return "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  }
  return "";
}

std::optional<ResourceType> ResourceTypeOf(std::string_view type_url) {
  for (size_t i = 0; i < kResourceTypes; ++i) {
    const auto type = static_cast<ResourceType>(i);
    if (TypeUrl(type) == type_url) return type;
  }
  return std::nullopt;
}

// The Any in a delta response's Resource and the Any in a DiscoveryResponse are both field 2, so
// that the one is a part of the other.
grpc::Slice StateField(const Resource& resource) {
  constexpr uint32_t kResource = (2u << 3) | 2u;  // tag: field 2, a message
  google::protobuf::io::CodedInputStream field(resource.wire.begin(),
                                               static_cast<int>(resource.wire.size()));
  uint32_t size = 0;
  field.ReadTag();
  field.ReadVarint32(&size);
  for (;;) {
    const auto begin = static_cast<size_t>(field.CurrentPosition());
    const uint32_t tag = field.ReadTag();
    if (tag == 0 || !field.ReadVarint32(&size) || !field.Skip(static_cast<int>(size))) return {};
    if (tag == kResource) {
      return resource.wire.sub(begin, static_cast<size_t>(field.CurrentPosition()));
    }
  }
}

bool InWildcard(ResourceType type, std::string_view name) {
  switch (type) {
    case ResourceType::kAddress:
    case ResourceType::kPeerSet:
    case ResourceType::kPolicyRules:
    case ResourceType::kEgressPolicy:
      return false;
    case ResourceType::kListener:
      return SocketAddress::Parse(name).ok();
    case ResourceType::kRoute:  // by a port's number
      return name.find_first_not_of("0123456789", name.rfind(':') + 1) == name.npos;
    default:
      return true;
  }
}

std::string_view ServiceOfEndpoints(std::string_view name) {
  const size_t first = name.find('/');
  if (first == std::string_view::npos) return name;
  return name.substr(0, name.find('/', first + 1));
}

ResourcePtr EncodeResource(ResourceType type, std::string name,
                           const google::protobuf::Message& content, const Origin& origin,
                           absl::Time triggered) {
  std::string bytes = SerializeDeterministically(content);
  std::string version = HashOf(bytes);
  return Enclose(type, std::move(name), std::move(version), std::move(bytes), &origin, triggered);
}

ResourcePtr EncodeResource(ResourceType type, std::string name, std::string version,
                           const google::protobuf::Message& content) {
  return Enclose(type, std::move(name), std::move(version), SerializeDeterministically(content),
                 nullptr, absl::InfinitePast());
}

ResourcePtr EncodeNamespace(const Namespace& ns) {
  return EncodeResource(ResourceType::kNamespace, ns.name, api::ToProto(ns), ns.origin);
}

ResourcePtr EncodeService(const Service& service, const Namespace* ns) {
  v1::Service message = api::ToProto(service);
  if (ns != nullptr) {
    message.mutable_namespace_labels()->insert(ns->labels.begin(), ns->labels.end());
  }
  return EncodeResource(ResourceType::kService, service.name.ToString(), message, service.origin);
}

ResourcePtr EncodeServiceImport(const ServiceImport& import, const SliceSet* slices) {
  Origin origin = import.origin;
  size_t endpoints = 0;
  if (slices != nullptr) {
    for (const auto& [name, slice] : *slices) {
      origin.arrived = std::max(origin.arrived, slice->origin.arrived);
      endpoints += slice->endpoints.size();
    }
  }
  const std::string name = import.name.ToString();
  if (endpoints > api::kMaxImportedEndpoints) {
    log::warn("ServiceImport {}: {} of its {} endpoints are not served", name,
              endpoints - api::kMaxImportedEndpoints, endpoints);
  }
  return EncodeResource(ResourceType::kServiceImport, name, api::ToProto(import, slices), origin);
}

ResourcePtr EncodeAddress(std::string name, const Pod* pod, const Node* node,
                          std::vector<AddressService> services) {
  AddressOwner owner;
  if (pod != nullptr) {
    owner.pod = pod->name;
    owner.node = pod->node_name;
  }
  if (node != nullptr) owner.zone = node->zone;
  owner.services = std::move(services);
  return EncodeResource(ResourceType::kAddress, std::move(name), api::ToProto(owner),
                        pod == nullptr ? Origin() : pod->origin);
}

ResourcePtr EncodeProxyConfig(std::string_view name, std::string_view corefile) {
  v1::ProxyConfig message;
  message.set_corefile(std::string(corefile));
  return EncodeResource(ResourceType::kProxyConfig, std::string(name), message, {});
}

std::vector<ResourcePtr> EncodeSlice(const EndpointSlice& slice) {
  std::vector<ResourcePtr> resources;
  size_t next = 0;
  do {
    std::string part = slice.name.name;
    if (!resources.empty()) part += fmt::format("#{}", resources.size() + 1);
    const size_t count = std::min(kEndpointsPerSlice, slice.endpoints.size() - next);
    const auto piece = std::span(slice.endpoints).subspan(next, count);
    next += count;
    resources.push_back(EncodeResource(
        ResourceType::kEndpoints, fmt::format("{}/{}/{}", slice.name.ns, slice.service, part),
        api::ToProto(slice, part, piece), slice.origin, slice.triggered));
  } while (next < slice.endpoints.size());
  return resources;
}

ResourcePtr EncodeHead(const std::string& service_key, const std::vector<ResourcePtr>& slices,
                       absl::Time arrived) {
  api::EndpointsHead head{service_key, {}};
  for (const ResourcePtr& slice : slices) {
    head.slices.push_back({slice->name.substr(service_key.size() + 1), slice->version});
  }
  return EncodeResource(ResourceType::kEndpoints, service_key, api::ToProto(head),
                        Origin{{}, arrived, {}});
}

}  // namespace portolan::xds
