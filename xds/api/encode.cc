// From the model to messages; the way back, with all its checks, is in codec.cc.
#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "xds/api/checked_fields.h"
#include "xds/api/codec.h"

namespace portolan::api {
namespace {

v1::ServiceType TypeToProto(ServiceType type) {
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

void AddAddresses(std::span<const IpAddress> from,
                  google::protobuf::RepeatedPtrField<std::string>* to) {
  for (const IpAddress& address : from) SetBytes(address, *to->Add());
}

// Ports of a Service and of a slice have the same fields; zero means "all" in a slice only.
template <typename Ports, typename Proto>
void AddPorts(const Ports& ports, Proto& to) {
  for (const auto& port : ports) {
    auto* added = to.add_ports();
    added->set_name(port.name);
    added->set_protocol(ToProto(port.protocol));
    added->set_port(port.port);
  }
}

// The place of `zone`, which is added if it is new. A slice has few.
uint32_t PlaceOf(const std::string& zone, v1::EndpointSlice& slice) {
  if (zone.empty()) return 0;
  const auto& zones = slice.zones();
  const auto place = std::find(zones.begin(), zones.end(), zone) - zones.begin();
  if (place == zones.size()) slice.add_zones(zone);
  return static_cast<uint32_t>(place) + 1;
}

// How the names of all nodes end, but for the first character of each: what is left is not empty.
std::string_view CommonNodeSuffix(std::span<const Endpoint> endpoints) {
  std::optional<std::string_view> common;
  for (const Endpoint& endpoint : endpoints) {
    if (endpoint.node_name.empty()) continue;
    const std::string_view end = std::string_view(endpoint.node_name).substr(1);
    if (!common) common = end;
    const auto same = std::mismatch(common->rbegin(), common->rend(), end.rbegin(), end.rend());
    common->remove_prefix(static_cast<size_t>(common->rend() - same.first));
  }
  return common.value_or("");
}

// How the names of all pods begin, but for the last character of each.
std::string_view CommonPodPrefix(std::span<const Endpoint> endpoints) {
  std::optional<std::string_view> common;
  for (const Endpoint& endpoint : endpoints) {
    if (endpoint.pod.name.empty()) continue;
    const std::string_view start =
        std::string_view(endpoint.pod.name).substr(0, endpoint.pod.name.size() - 1);
    if (!common) common = start;
    const auto same = std::mismatch(common->begin(), common->end(), start.begin(), start.end());
    common->remove_suffix(static_cast<size_t>(common->end() - same.first));
  }
  return common.value_or("");
}

void Fill(const Endpoint& from, v1::EndpointSlice& slice) {
  v1::Endpoint& to = *slice.add_endpoints();
  // The API has a list, of which only the first is meaningful (model.h).
  if (!from.addresses.empty()) {
    const auto bytes = from.addresses.front().bytes();
    to.set_address(bytes.data(), bytes.size());
  }
  to.set_hostname(from.hostname);
  to.set_not_ready(!from.conditions.ready);
  to.set_not_serving(!from.conditions.serving);
  to.set_terminating(from.conditions.terminating);
  if (!from.node_name.empty()) {
    to.set_node(from.node_name.substr(0, from.node_name.size() - slice.node_suffix().size()));
  }
  to.set_zone(PlaceOf(from.zone, slice));
  for (const std::string& zone : from.zone_hints) to.add_zone_hints(PlaceOf(zone, slice));
  for (const std::string& node : from.node_hints) to.add_node_hints(node);
  if (from.pod.name.empty()) return;
  if (from.pod.ns != slice.namespace_()) to.set_pod_namespace(from.pod.ns);
  to.set_pod_name(from.pod.name.substr(slice.pod_prefix().size()));
}

void Fill(const EndpointSlice& from, std::string_view name, std::span<const Endpoint> endpoints,
          v1::EndpointSlice& to) {
  to.set_namespace_(from.name.ns);
  to.set_service(from.service);
  to.set_name(std::string(name));
  to.set_ipv6(from.family == IpFamily::kIpv6);
  to.set_source_cluster(from.source_cluster);
  AddPorts(from.ports, to);
  to.set_node_suffix(std::string(CommonNodeSuffix(endpoints)));
  to.set_pod_prefix(std::string(CommonPodPrefix(endpoints)));
  for (const Endpoint& endpoint : endpoints) Fill(endpoint, to);
}

}  // namespace

v1::Namespace ToProto(const Namespace& ns) {
  v1::Namespace proto;
  proto.set_name(ns.name);
  proto.mutable_labels()->insert(ns.labels.begin(), ns.labels.end());
  return proto;
}

v1::Service ToProto(const Service& service) {
  v1::Service proto;
  proto.set_namespace_(service.name.ns);
  proto.set_name(service.name.name);
  proto.set_type(TypeToProto(service.type));
  proto.set_headless(service.headless);
  AddAddresses(service.cluster_ips, proto.mutable_cluster_ips());
  AddAddresses(service.extras->external_ips, proto.mutable_external_ips());
  AddAddresses(service.extras->load_balancer_ips, proto.mutable_load_balancer_ips());
  proto.set_external_name(service.extras->external_name);
  AddPorts(service.ports, proto);
  proto.set_publish_not_ready_addresses(service.publish_not_ready_addresses);
  if (service.session_affinity == SessionAffinity::kClientIp) {
    proto.set_client_ip_affinity_seconds(service.extras->session_affinity_seconds);
  }
  proto.set_internal_traffic_policy_local(service.internal_traffic_policy == TrafficPolicy::kLocal);
  proto.set_traffic_distribution(service.extras->traffic_distribution);
  proto.mutable_labels()->insert(service.labels->begin(), service.labels->end());
  proto.mutable_annotations()->insert(service.extras->annotations.begin(),
                                      service.extras->annotations.end());
  return proto;
}

v1::Endpoints ToProto(const EndpointSlice& slice) {
  return ToProto(slice, slice.name.name, slice.endpoints);
}

v1::Endpoints ToProto(const EndpointSlice& slice, std::string_view name,
                      std::span<const Endpoint> endpoints) {
  v1::Endpoints proto;
  Fill(slice, name, endpoints, *proto.mutable_slice());
  return proto;
}

v1::Endpoints ToProto(const EndpointsHead& head) {
  v1::Endpoints proto;
  for (const EndpointsHead::Listed& listed : head.slices) {
    auto* added = proto.mutable_head()->add_slices();
    added->set_name(listed.slice);
    added->set_version(listed.version);
  }
  // A head of nothing still says that it is a head.
  proto.mutable_head();
  return proto;
}

v1::ServiceImport ToProto(const ServiceImport& import, const SliceSet* slices) {
  v1::ServiceImport proto;
  proto.set_namespace_(import.name.ns);
  proto.set_name(import.name.name);
  proto.set_headless(import.headless);
  AddAddresses(import.ips, proto.mutable_ips());
  AddPorts(import.ports, proto);
  if (slices == nullptr) return proto;
  size_t room = kMaxImportedEndpoints;
  for (const auto& [name, slice] : *slices) {
    const auto endpoints =
        std::span(slice->endpoints).first(std::min(room, slice->endpoints.size()));
    room -= endpoints.size();
    Fill(*slice, name, endpoints, *proto.add_slices());
  }
  return proto;
}

v1::Address ToProto(const AddressOwner& owner) {
  v1::Address proto;
  if (!owner.pod.name.empty()) {
    proto.mutable_pod()->set_namespace_(owner.pod.ns);
    proto.mutable_pod()->set_name(owner.pod.name);
    proto.mutable_pod()->set_node(owner.node);
    proto.mutable_pod()->set_zone(owner.zone);
  }
  for (const AddressService& service : owner.services) {
    v1::AddressService& added = *proto.add_services();
    added.set_namespace_(service.name.ns);
    added.set_name(service.name.name);
    added.set_headless(service.headless);
    AddPorts(service.ports, added);
  }
  return proto;
}

}  // namespace portolan::api
