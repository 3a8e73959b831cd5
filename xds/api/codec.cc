#include "xds/api/codec.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "xds/api/checked_fields.h"

namespace portolan::api {
namespace {

// As the API has it: EndpointHints.forZones.
constexpr int kMaxZoneHints = 8;
// A piece of a slice has "#N" behind its name.
constexpr size_t kMaxSliceName = kMaxName + 8;

// Metadata's key and fields: see portolan/v1/directory.proto.
constexpr char kOriginKey[] = "portolan.dev/origin";
constexpr char kArrived[] = "arrived_unix_ns";
constexpr char kTriggered[] = "triggered_unix_ns";

template <typename Port, typename Repeated>
absl::StatusOr<std::vector<Port>> ParsePorts(const Repeated& values, uint32_t lowest) {
  std::vector<Port> ports;
  ports.reserve(static_cast<size_t>(values.size()));
  for (const auto& value : values) {
    const auto protocol = ParseProtocol(value.protocol());
    if (!protocol.ok()) {
      return InvalidArgument("ports[{}].{}", ports.size(), Message(protocol.status()));
    }
    if (value.port() < lowest || value.port() > kMaxPort) {
      return InvalidArgument("ports[{}].port: {} is no port", ports.size(), value.port());
    }
    absl::Status name = CheckText("name", value.name(), kMaxLabel, Presence::kOptional);
    if (!name.ok()) return InvalidArgument("ports[{}].{}", ports.size(), Message(name));
    ports.push_back({value.name(), *protocol, static_cast<uint16_t>(value.port())});
  }
  return ports;
}

template <typename Map>
LabelMap ParseLabels(const Map& labels) {
  LabelMap sorted(labels.begin(), labels.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

using OriginFields = google::protobuf::Map<std::string, google::protobuf::Value>;

// A Struct's numbers are doubles: exact to 256 ns in this century. Out of range: not said.
std::optional<absl::Time> ParseTime(const OriginFields& fields, const std::string& key) {
  const auto found = fields.find(key);
  if (found == fields.end()) return std::nullopt;
  const double ns = found->second.number_value();
  if (!(ns > 0 && ns < 9.2e18)) return std::nullopt;
  return absl::FromUnixNanos(static_cast<int64_t>(ns));
}

Origin ParseOrigin(const OriginFields& fields) {
  Origin origin;
  if (const auto version = fields.find("resource_version"); version != fields.end()) {
    origin.resource_version = version->second.string_value();
  }
  origin.arrived = ParseTime(fields, kArrived).value_or(origin.arrived);
  return origin;
}

// What travels beside the resource, into the value that was read from it.
void TakeOrigin(const envoy::service::discovery::v3::Resource& resource, DirectoryResource& into) {
  const auto& metadata = resource.metadata().filter_metadata();
  const auto found = metadata.find(kOriginKey);
  if (found == metadata.end()) return;
  const OriginFields& fields = found->second.fields();
  std::visit(
      [&](auto& value) {
        if constexpr (requires { value.origin; }) value.origin = ParseOrigin(fields);
        if constexpr (requires { value.import; }) value.import.origin = ParseOrigin(fields);
        if constexpr (requires { value.triggered; }) {
          value.triggered = ParseTime(fields, kTriggered).value_or(value.triggered);
        }
      },
      into);
}

void SetTime(absl::Time time, const char* key, OriginFields& fields) {
  fields[key].set_number_value(static_cast<double>(absl::ToUnixNanos(time)));
}

absl::StatusOr<ServiceType> ParseServiceType(v1::ServiceType type) {
  switch (type) {
    case v1::CLUSTER_IP:
      return ServiceType::kClusterIp;
    case v1::NODE_PORT:
      return ServiceType::kNodePort;
    case v1::LOAD_BALANCER:
      return ServiceType::kLoadBalancer;
    case v1::EXTERNAL_NAME:
      return ServiceType::kExternalName;
    default:
      return InvalidArgument("type: {} is unknown", static_cast<int>(type));
  }
}

absl::Status CheckSameName(std::string_view field, std::string_view envelope,
                           std::string_view body) {
  if (envelope == body) return absl::OkStatus();
  return InvalidArgument("{}: '{}' is not the resource's name", field, body.substr(0, kMaxName));
}

absl::StatusOr<Namespace> Convert(std::string_view name, const v1::Namespace& proto) {
  absl::Status status = CheckSameName("name", name, proto.name());
  status.Update(CheckText("name", proto.name(), kMaxLabel, Presence::kRequired));
  if (!status.ok()) return status;
  return Namespace{proto.name(), ParseLabels(proto.labels()), {}};
}

// Fills in the addresses and ports of `service`.
absl::Status ConvertReachability(const v1::Service& proto, Service& service,
                                 ServiceExtras& extras) {
  auto cluster = ParseAddresses("cluster_ips", proto.cluster_ips());
  auto external = ParseAddresses("external_ips", proto.external_ips());
  auto load_balancer = ParseAddresses("load_balancer_ips", proto.load_balancer_ips());
  auto ports = ParsePorts<ServicePort>(proto.ports(), 1);
  absl::Status status = cluster.status();
  status.Update(external.status());
  status.Update(load_balancer.status());
  status.Update(ports.status());
  if (!status.ok()) return status;
  if (proto.headless() && !cluster->empty()) {
    return InvalidArgument("cluster_ips: a headless Service has none");
  }
  service.cluster_ips.assign(cluster->begin(), cluster->end());
  extras.external_ips = *std::move(external);
  extras.load_balancer_ips = *std::move(load_balancer);
  service.ports.assign(ports->begin(), ports->end());
  return absl::OkStatus();
}

absl::StatusOr<Service> Convert(std::string_view name, const v1::Service& proto) {
  Service service;
  ServiceExtras extras;
  service.name = {proto.namespace_(), proto.name()};
  const auto type = ParseServiceType(proto.type());
  absl::Status status = CheckSameName("namespace, name", name, service.name.ToString());
  status.Update(CheckText("namespace", proto.namespace_(), kMaxLabel, Presence::kRequired));
  status.Update(CheckText("name", proto.name(), kMaxLabel, Presence::kRequired));
  status.Update(
      CheckText("external_name", proto.external_name(), kMaxName + 1, Presence::kOptional));
  status.Update(type.status());
  status.Update(ConvertReachability(proto, service, extras));
  if (!status.ok()) return status;
  service.type = *type;
  service.headless = proto.headless();
  extras.external_name = proto.external_name();
  service.publish_not_ready_addresses = proto.publish_not_ready_addresses();
  if (proto.client_ip_affinity_seconds() > 0) {
    service.session_affinity = SessionAffinity::kClientIp;
    extras.session_affinity_seconds = proto.client_ip_affinity_seconds();
  }
  if (proto.internal_traffic_policy_local()) {
    service.internal_traffic_policy = TrafficPolicy::kLocal;
  }
  extras.traffic_distribution = proto.traffic_distribution();
  service.labels = ParseLabels(proto.labels());
  extras.annotations = ParseLabels(proto.annotations());
  service.extras = std::move(extras);
  return service;
}

absl::StatusOr<EndpointsHead> Convert(std::string_view name, const v1::EndpointsHead& proto) {
  EndpointsHead head;
  head.service_key = name;
  head.slices.reserve(static_cast<size_t>(proto.slices_size()));
  for (const auto& listed : proto.slices()) {
    const absl::Status status =
        CheckText("name", listed.name(), kMaxSliceName, Presence::kRequired);
    if (!status.ok()) {
      return InvalidArgument("head.slices[{}].{}", head.slices.size(), Message(status));
    }
    head.slices.push_back({listed.name(), listed.version()});
  }
  return head;
}

// An error if `place` is beyond the slice's zones.
absl::Status ConvertZone(const v1::EndpointSlice& slice, uint32_t place, std::string& zone) {
  if (place > static_cast<uint32_t>(slice.zones_size())) {
    return InvalidArgument("zone: {} of {} zones", place, slice.zones_size());
  }
  if (place > 0) zone = slice.zones(static_cast<int>(place) - 1);
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> Convert(const v1::EndpointSlice& slice, const v1::Endpoint& proto,
                                 IpFamily family, size_t index) {
  auto address = ParseAddress(proto.address());
  absl::Status status;
  if (!address.ok()) {
    status = InvalidArgument("address: {}", Message(address.status()));
  } else if (address->family() != family) {
    status = InvalidArgument("address: not of the slice's family");
  }
  status.Update(CheckText("hostname", proto.hostname(), kMaxLabel, Presence::kOptional));
  Endpoint endpoint;
  if (!proto.node().empty()) endpoint.node_name = proto.node() + slice.node_suffix();
  if (!proto.pod_name().empty()) {
    const bool elsewhere = !proto.pod_namespace().empty();
    endpoint.pod = {elsewhere ? proto.pod_namespace() : slice.namespace_(),
                    slice.pod_prefix() + proto.pod_name()};
  }
  status.Update(CheckText("node", endpoint.node_name, kMaxName, Presence::kOptional));
  status.Update(CheckText("pod_namespace", endpoint.pod.ns, kMaxLabel, Presence::kOptional));
  status.Update(CheckText("pod_name", endpoint.pod.name, kMaxName, Presence::kOptional));
  status.Update(ConvertZone(slice, proto.zone(), endpoint.zone));
  if (proto.zone_hints_size() > kMaxZoneHints) {
    status.Update(InvalidArgument("zone_hints: more than {}", kMaxZoneHints));
  }
  for (const uint32_t place : proto.zone_hints()) {
    if (!status.ok()) break;
    status.Update(ConvertZone(slice, place, endpoint.zone_hints.emplace_back()));
  }
  if (!status.ok()) return InvalidArgument("slice.endpoints[{}].{}", index, Message(status));
  endpoint.addresses = {*address};
  endpoint.hostname = proto.hostname();
  endpoint.conditions = {.ready = !proto.not_ready(),
                         .serving = !proto.not_serving(),
                         .terminating = proto.terminating()};
  endpoint.node_hints.assign(proto.node_hints().begin(), proto.node_hints().end());
  return endpoint;
}

// Fills in the family, ports and endpoints of `slice`.
absl::Status ConvertEndpoints(const v1::EndpointSlice& proto, EndpointSlice& slice) {
  slice.family = proto.ipv6() ? IpFamily::kIpv6 : IpFamily::kIpv4;
  auto ports = ParsePorts<EndpointPort>(proto.ports(), 0);
  if (!ports.ok()) return InvalidArgument("slice.{}", Message(ports.status()));
  slice.ports = *std::move(ports);
  for (const std::string& zone : proto.zones()) {
    const absl::Status status = CheckText("zones", zone, kMaxName, Presence::kRequired);
    if (!status.ok()) return InvalidArgument("slice.{}", Message(status));
  }
  // They are put into every endpoint: hold them to what a name may be before that.
  absl::Status common =
      CheckText("node_suffix", proto.node_suffix(), kMaxName, Presence::kOptional);
  common.Update(CheckText("pod_prefix", proto.pod_prefix(), kMaxName, Presence::kOptional));
  if (!common.ok()) return InvalidArgument("slice.{}", Message(common));
  slice.endpoints.reserve(static_cast<size_t>(proto.endpoints_size()));
  for (const v1::Endpoint& endpoint : proto.endpoints()) {
    auto converted = Convert(proto, endpoint, slice.family, slice.endpoints.size());
    if (!converted.ok()) return converted.status();
    slice.endpoints.push_back(*std::move(converted));
  }
  return absl::OkStatus();
}

absl::StatusOr<EndpointSlice> Convert(const EndpointsName& name, const v1::EndpointSlice& proto) {
  EndpointSlice slice;
  slice.name = {proto.namespace_(), std::string(name.slice)};
  slice.service = proto.service();
  absl::Status status = CheckSameName("slice.namespace, slice.service", name.service_key,
                                      proto.namespace_() + "/" + proto.service());
  // The body of a piece may say the whole EndpointSlice's name, which the control plane cut.
  const std::string_view whole = name.slice.substr(0, name.slice.find('#'));
  if (proto.name() != whole) status.Update(CheckSameName("slice.name", name.slice, proto.name()));
  status.Update(ConvertEndpoints(proto, slice));
  if (!status.ok()) return status;
  return slice;
}

absl::StatusOr<EndpointSlice> ConvertImported(const ServiceImport& import,
                                              const v1::EndpointSlice& proto) {
  EndpointSlice slice;
  slice.name = {import.name.ns, proto.name()};
  slice.service = import.name.name;
  slice.imported = true;
  slice.source_cluster = proto.source_cluster();
  absl::Status status = CheckSameName("slice.namespace, slice.service", import.name.ToString(),
                                      proto.namespace_() + "/" + proto.service());
  status.Update(CheckText("slice.name", proto.name(), kMaxName, Presence::kRequired));
  status.Update(
      CheckText("slice.source_cluster", proto.source_cluster(), kMaxLabel, Presence::kOptional));
  status.Update(ConvertEndpoints(proto, slice));
  if (!status.ok()) return status;
  return slice;
}

absl::StatusOr<ImportedService> Convert(std::string_view name, const v1::ServiceImport& proto) {
  ImportedService service;
  ServiceImport& import = service.import;
  import.name = {proto.namespace_(), proto.name()};
  import.headless = proto.headless();
  auto ips = ParseAddresses("ips", proto.ips());
  auto ports = ParsePorts<ServicePort>(proto.ports(), 1);
  absl::Status status = CheckSameName("namespace, name", name, import.name.ToString());
  status.Update(CheckText("namespace", proto.namespace_(), kMaxLabel, Presence::kRequired));
  status.Update(CheckText("name", proto.name(), kMaxLabel, Presence::kRequired));
  status.Update(ips.status());
  status.Update(ports.status());
  if (status.ok() && import.headless && !ips->empty()) {
    status = InvalidArgument("ips: a headless ServiceImport has none");
  }
  if (!status.ok()) return status;
  import.ips = *std::move(ips);
  import.ports = *std::move(ports);
  for (const v1::EndpointSlice& slice : proto.slices()) {
    auto converted = ConvertImported(import, slice);
    if (!converted.ok()) {
      return InvalidArgument("slices[{}]: {}", service.slices.size(), Message(converted.status()));
    }
    service.slices.push_back(*std::move(converted));
  }
  return service;
}

absl::StatusOr<AddressService> Convert(const v1::AddressService& proto) {
  absl::Status status = CheckText("namespace", proto.namespace_(), kMaxLabel, Presence::kRequired);
  status.Update(CheckText("name", proto.name(), kMaxLabel, Presence::kRequired));
  auto ports = ParsePorts<EndpointPort>(proto.ports(), 0);
  status.Update(ports.status());
  if (!status.ok()) return status;
  return AddressService{{proto.namespace_(), proto.name()}, proto.headless(), *std::move(ports)};
}

// An owner of another kind than a Pod, which this program does not know of, is no Pod.
absl::StatusOr<AddressOwner> Convert(std::string_view name, const v1::Address& proto) {
  const auto ip = IpAddress::Parse(name);
  if (!ip.ok() || ip->ToString() != name) return InvalidArgument("name: not an IP address");
  AddressOwner owner{.ip = *ip};
  if (proto.has_pod()) {
    const v1::PodAddress& pod = proto.pod();
    absl::Status status =
        CheckText("pod.namespace", pod.namespace_(), kMaxLabel, Presence::kRequired);
    status.Update(CheckText("pod.name", pod.name(), kMaxName, Presence::kRequired));
    status.Update(CheckText("pod.node", pod.node(), kMaxName, Presence::kOptional));
    status.Update(CheckText("pod.zone", pod.zone(), kMaxName, Presence::kOptional));
    if (!status.ok()) return status;
    owner.pod = {pod.namespace_(), pod.name()};
    owner.node = pod.node();
    owner.zone = pod.zone();
  }
  for (const v1::AddressService& service : proto.services()) {
    if (owner.services.size() == AddressOwner::kMostServices) break;
    auto converted = Convert(service);
    if (!converted.ok()) {
      return InvalidArgument("services[{}]: {}", owner.services.size(),
                             Message(converted.status()));
    }
    owner.services.push_back(*std::move(converted));
  }
  return owner;
}

absl::StatusOr<DirectoryResource> Convert(std::string_view name, const v1::Endpoints& proto) {
  const auto parsed = EndpointsName::Parse(name);
  if (!parsed) return InvalidArgument("name: not NAMESPACE/SERVICE or NAMESPACE/SERVICE/SLICE");
  const bool is_head = parsed->slice.empty();
  if (is_head && proto.has_head()) return Convert(name, proto.head());
  if (!is_head && proto.has_slice()) return Convert(*parsed, proto.slice());
  return InvalidArgument("kind: not what the name says");
}

template <typename Message>
absl::StatusOr<DirectoryResource> UnpackAndConvert(
    const envoy::service::discovery::v3::Resource& resource) {
  auto message = Unpack<Message>(resource);
  if (!message.ok()) return message.status();
  return Convert(resource.name(), *message);
}

absl::StatusOr<DirectoryResource> ParseUnnamed(
    std::string_view type_url, const envoy::service::discovery::v3::Resource& resource) {
  if (type_url == kNamespaceType) return UnpackAndConvert<v1::Namespace>(resource);
  if (type_url == kServiceType) return UnpackAndConvert<v1::Service>(resource);
  if (type_url == kEndpointsType) return UnpackAndConvert<v1::Endpoints>(resource);
  if (type_url == kServiceImportType) return UnpackAndConvert<v1::ServiceImport>(resource);
  if (type_url == kAddressType) return UnpackAndConvert<v1::Address>(resource);
  return InvalidArgument("type '{}' is not of the directory", type_url);
}

}  // namespace

std::optional<EndpointsName> EndpointsName::Parse(std::string_view name) {
  const size_t first = name.find('/');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = name.find('/', first + 1);
  EndpointsName parsed{name.substr(0, second), {}};
  if (second != std::string_view::npos) {
    parsed.slice = name.substr(second + 1);
    if (!CheckText("", parsed.slice, kMaxSliceName, Presence::kRequired).ok()) return std::nullopt;
  }
  const std::string_view ns = parsed.service_key.substr(0, first);
  const std::string_view service = parsed.service_key.substr(first + 1);
  if (!CheckText("", ns, kMaxLabel, Presence::kRequired).ok() ||
      !CheckText("", service, kMaxLabel, Presence::kRequired).ok()) {
    return std::nullopt;
  }
  return parsed;
}

absl::StatusOr<DirectoryResource> ParseDirectoryResource(
    std::string_view type_url, const envoy::service::discovery::v3::Resource& resource) {
  auto parsed = ParseUnnamed(type_url, resource);
  if (!parsed.ok()) return Named(type_url, resource.name(), parsed.status());
  TakeOrigin(resource, *parsed);
  return parsed;
}

absl::StatusOr<v1::ProxyConfig> ParseProxyConfig(
    const envoy::service::discovery::v3::Resource& resource) {
  auto config = Unpack<v1::ProxyConfig>(resource);
  if (!config.ok()) return Named(kProxyConfigType, resource.name(), config.status());
  return config;
}

void SetOrigin(const Origin& origin, absl::Time triggered,
               envoy::service::discovery::v3::Resource& resource) {
  auto& fields =
      *(*resource.mutable_metadata()->mutable_filter_metadata())[kOriginKey].mutable_fields();
  if (origin.arrived != absl::Time()) SetTime(origin.arrived, kArrived, fields);
  if (triggered != absl::InfinitePast()) SetTime(triggered, kTriggered, fields);
  if (!origin.resource_version.empty()) {
    fields["resource_version"].set_string_value(std::string(origin.resource_version));
  }
}

}  // namespace portolan::api
