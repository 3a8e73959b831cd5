#include "xds/serving/resource.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/evp.h>

#include <algorithm>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/config.pb.h"
#include "portolan/v1/directory.pb.h"

namespace portolan::xds {
namespace {

constexpr char kOriginKey[] = "portolan.dev/origin";

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
  return hex;
}

std::string Bytes(const IpAddress& ip) {
  const auto bytes = ip.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void AddIps(const std::vector<IpAddress>& ips,
            google::protobuf::RepeatedPtrField<std::string>& to) {
  for (const IpAddress& ip : ips) *to.Add() = Bytes(ip);
}

void AddLabels(const LabelMap& labels, google::protobuf::Map<std::string, std::string>& to) {
  for (const auto& [key, value] : labels) to[key] = value;
}

v1::Protocol ToProto(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return v1::TCP;
    case Protocol::kUdp:
      return v1::UDP;
    case Protocol::kSctp:
      return v1::SCTP;
  }
  return v1::TCP;
}

v1::ServiceType ToProto(ServiceType type) {
  switch (type) {
    case ServiceType::kClusterIp:
      return v1::CLUSTER_IP;
    case ServiceType::kNodePort:
      return v1::NODE_PORT;
    case ServiceType::kLoadBalancer:
      return v1::LOAD_BALANCER;
    case ServiceType::kExternalName:
      return v1::EXTERNAL_NAME;
  }
  return v1::CLUSTER_IP;
}

void Fill(const Endpoint& from, v1::Endpoint& to) {
  // The API has a list, of which only the first is meaningful (model.h).
  if (!from.addresses.empty()) to.set_address(Bytes(from.addresses.front()));
  to.set_hostname(from.hostname);
  to.set_not_ready(!from.conditions.ready);
  to.set_not_serving(!from.conditions.serving);
  to.set_terminating(from.conditions.terminating);
  to.set_node(from.node_name);
  to.set_zone(from.zone);
  for (const std::string& hint : from.zone_hints) to.add_zone_hints(hint);
  for (const std::string& hint : from.node_hints) to.add_node_hints(hint);
  to.set_pod_namespace(from.pod.ns);
  to.set_pod_name(from.pod.name);
}

}  // namespace

std::string_view TypeUrl(ResourceType type) {
  switch (type) {
    case ResourceType::kProxyConfig:
      return "type.googleapis.com/portolan.v1.ProxyConfig";
    case ResourceType::kNamespace:
      return "type.googleapis.com/portolan.v1.Namespace";
    case ResourceType::kService:
      return "type.googleapis.com/portolan.v1.Service";
    case ResourceType::kEndpoints:
      return "type.googleapis.com/portolan.v1.Endpoints";
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

ResourcePtr EncodeResource(ResourceType type, std::string name,
                           const google::protobuf::Message& content, const Origin& origin) {
  auto resource = std::make_shared<Resource>();
  std::string bytes = SerializeDeterministically(content);
  resource->version = HashOf(bytes);

  envoy::service::discovery::v3::DeltaDiscoveryResponse field;
  auto& message = *field.add_resources();
  message.set_name(name);
  message.set_version(resource->version);
  message.mutable_resource()->set_type_url(std::string(TypeUrl(type)));
  message.mutable_resource()->set_value(std::move(bytes));
  auto& about =
      *(*message.mutable_metadata()->mutable_filter_metadata())[kOriginKey].mutable_fields();
  if (origin.arrived != absl::Time()) {
    const auto nanoseconds = static_cast<double>(absl::ToUnixNanos(origin.arrived));
    about["arrived_unix_ns"].set_number_value(nanoseconds);
  }
  if (!origin.resource_version.empty()) {
    about["resource_version"].set_string_value(origin.resource_version);
  }
  resource->name = std::move(name);
  resource->wire = grpc::Slice(SerializeDeterministically(field));
  return resource;
}

ResourcePtr EncodeNamespace(const Namespace& ns) {
  v1::Namespace message;
  message.set_name(ns.name);
  AddLabels(ns.labels, *message.mutable_labels());
  return EncodeResource(ResourceType::kNamespace, ns.name, message, ns.origin);
}

ResourcePtr EncodeService(const Service& service, const Namespace* ns) {
  v1::Service message;
  message.set_namespace_(service.name.ns);
  message.set_name(service.name.name);
  message.set_type(ToProto(service.type));
  message.set_headless(service.headless);
  AddIps(service.cluster_ips, *message.mutable_cluster_ips());
  AddIps(service.external_ips, *message.mutable_external_ips());
  AddIps(service.load_balancer_ips, *message.mutable_load_balancer_ips());
  message.set_external_name(service.external_name);
  for (const ServicePort& port : service.ports) {
    auto& to = *message.add_ports();
    to.set_name(port.name);
    to.set_protocol(ToProto(port.protocol));
    to.set_port(port.port);
  }
  message.set_publish_not_ready_addresses(service.publish_not_ready_addresses);
  if (service.session_affinity == SessionAffinity::kClientIp) {
    message.set_client_ip_affinity_seconds(
        static_cast<uint32_t>(absl::ToInt64Seconds(service.session_affinity_timeout)));
  }
  message.set_internal_traffic_policy_local(service.internal_traffic_policy ==
                                            TrafficPolicy::kLocal);
  message.set_traffic_distribution(service.traffic_distribution);
  AddLabels(service.labels, *message.mutable_labels());
  AddLabels(service.annotations, *message.mutable_annotations());
  if (ns != nullptr) AddLabels(ns->labels, *message.mutable_namespace_labels());
  return EncodeResource(ResourceType::kService, service.name.ToString(), message, service.origin);
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
    v1::Endpoints message;
    v1::EndpointSlice& to = *message.mutable_slice();
    to.set_namespace_(slice.name.ns);
    to.set_service(slice.service);
    to.set_name(part);
    to.set_ipv6(slice.family == IpFamily::kIpv6);
    for (const EndpointPort& port : slice.ports) {
      auto& out = *to.add_ports();
      out.set_name(port.name);
      out.set_protocol(ToProto(port.protocol));
      out.set_port(port.port);
    }
    const size_t end = std::min(next + kEndpointsPerSlice, slice.endpoints.size());
    for (; next < end; ++next) Fill(slice.endpoints[next], *to.add_endpoints());
    resources.push_back(EncodeResource(ResourceType::kEndpoints,
                                       fmt::format("{}/{}/{}", slice.name.ns, slice.service, part),
                                       message, slice.origin));
  } while (next < slice.endpoints.size());
  return resources;
}

ResourcePtr EncodeHead(const std::string& service_key, const std::vector<ResourcePtr>& slices,
                       absl::Time arrived) {
  v1::Endpoints message;
  v1::EndpointsHead& head = *message.mutable_head();
  for (const ResourcePtr& slice : slices) {
    auto& entry = *head.add_slices();
    entry.set_name(slice->name);
    entry.set_version(slice->version);
  }
  return EncodeResource(ResourceType::kEndpoints, service_key, message, Origin{"", arrived});
}

}  // namespace portolan::xds
