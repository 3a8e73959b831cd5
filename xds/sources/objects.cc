#include "xds/sources/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "xds/sources/admin_network_policy.h"
#include "xds/sources/dns_egress_policy.h"
#include "xds/sources/names.h"
#include "xds/sources/network_policy.h"
#include "xds/sources/read_fields.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
constexpr std::string_view kImportNameLabel = "multicluster.kubernetes.io/service-name";
constexpr std::string_view kSourceClusterLabel = "multicluster.kubernetes.io/source-cluster";
constexpr std::string_view kOwnAnnotations = "portolan.dev/";
constexpr std::string_view kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

std::string ReadLabelOrNone(const Field& field) {
  std::string name = field.String();
  if (!name.empty() && !IsLabel(name)) field.Fail(fmt::format("'{}' is not a DNS label", name));
  return name;
}

ServicePort ReadServicePort(const Field& item) {
  const Field name = item["name"];
  const Field number = item["port"];
  const Field protocol = item["protocol"];
  if (!number.present()) number.Fail("is missing");
  return {ReadLabelOrNone(name), ReadProtocol(protocol), ReadPort(number)};
}

void ReadServicePorts(const Field& spec, Service& service) {
  const Field ports = spec["ports"];
  ports.ForEachItem([&](const Field& item) {
    const Field name = item["name"];
    const Field number = item["port"];
    ServicePort port = ReadServicePort(item);
    for (const ServicePort& other : service.ports) {
      if (other.name == port.name && !port.name.empty()) {
        name.Fail(fmt::format("'{}' names two ports", port.name));
      }
      if (other.port == port.port && other.protocol == port.protocol) {
        number.Fail(fmt::format("{} stands twice with the same protocol", port.port));
      }
    }
    service.ports.push_back(std::move(port));
  });
  ports.ForEachItem([&](const Field& item) {
    const Field name = item["name"];
    if (service.ports.size() > 1 && name.String().empty()) {
      name.Fail("is missing; a Service with several ports names each");
    }
  });
  if (service.ports.empty() && !service.headless && service.type != ServiceType::kExternalName) {
    ports.Fail("is missing; only headless and ExternalName Services go without ports");
  }
}

void ReadIpFamilies(const Field& spec, const Service& service) {
  const Field families = spec["ipFamilies"];
  size_t at = 0;
  families.ForEachItem([&](const Field& item) {
    const auto family =
        ReadWord<IpFamily>(item, {{"IPv4", IpFamily::kIpv4}, {"IPv6", IpFamily::kIpv6}});
    if (at < service.cluster_ips.size() && service.cluster_ips[at].family() != family) {
      item.Fail(fmt::format("{} is not the family of {}", item.String(),
                            service.cluster_ips[at].ToString()));
    }
    ++at;
  });
}

// spec.clusterIP is the first of spec.clusterIPs; a manifest may carry either or both.
void ReadClusterIps(const Field& spec, Service& service) {
  const Field one = spec["clusterIP"];
  const Field all = spec["clusterIPs"];
  std::vector<std::string> texts;
  all.ForEachItem([&](const Field& item) { texts.push_back(item.String()); });
  const std::string first = one.String();
  if (texts.empty() && !first.empty()) texts.push_back(first);
  if (!first.empty() && texts.front() != first) {
    one.Fail(fmt::format("'{}' is not the first of clusterIPs, '{}'", first, texts.front()));
  }
  if (service.type == ServiceType::kExternalName) {
    if (!texts.empty()) one.Fail("an ExternalName Service has no cluster IP");
    return;
  }
  if (!texts.empty() && texts.front() == "None") {
    if (texts.size() > 1) all.Fail("'None' stands alone");
    service.headless = true;
    return;
  }
  if (all.present() && !all.value()->items.empty()) {
    const std::vector<IpAddress> ips = ReadIps(all);
    service.cluster_ips.assign(ips.begin(), ips.end());
  } else if (!first.empty()) {
    service.cluster_ips.push_back(ReadIp(one));
  }
  if (service.cluster_ips.size() > 2 ||
      (service.cluster_ips.size() == 2 &&
       service.cluster_ips[0].family() == service.cluster_ips[1].family())) {
    all.Fail("holds more than one address of a family");
  }
}

std::string ReadExternalName(const Field& spec, ServiceType type) {
  const Field name = spec["externalName"];
  if (type != ServiceType::kExternalName) return "";
  std::string target = name.String();
  if (target.ends_with('.')) target.pop_back();
  if (target.empty()) {
    name.Fail("is missing");
  } else if (!IsSubdomain(target)) {
    name.Fail(fmt::format("'{}' is not a DNS name", target));
  }
  return target;
}

void ReadSessionAffinity(const Field& spec, Service& service, ServiceExtras& extras) {
  const Field affinity = spec["sessionAffinity"];
  service.session_affinity = ReadWord<SessionAffinity>(
      affinity, {{"None", SessionAffinity::kNone}, {"ClientIP", SessionAffinity::kClientIp}});
  const Field config = spec["sessionAffinityConfig"];
  const Field client_ip = config["clientIP"];
  const Field timeout = client_ip["timeoutSeconds"];
  const int64_t seconds = timeout.Int(10800);
  if (seconds < 1 || seconds > 86400) {
    timeout.Fail(fmt::format("{} is not between 1 and 86400 seconds", seconds));
  }
  extras.session_affinity_seconds = static_cast<uint32_t>(seconds);
}

// What a load balancer hands to the node as it came (ipMode VIP, the default) is the Service's own
// address; with ipMode Proxy the packets must reach the load balancer, so it is not ours to carry.
std::vector<IpAddress> ReadLoadBalancer(const Field& object, ServiceType type) {
  std::vector<IpAddress> ips;
  if (type != ServiceType::kLoadBalancer) return ips;
  const Field status = object["status"];
  const Field balancer = status["loadBalancer"];
  const Field ingress = balancer["ingress"];
  ingress.ForEachItem([&](const Field& item) {
    const Field ip = item["ip"];
    const Field mode = item["ipMode"];
    if (ip.present() && mode.String() != "Proxy") ips.push_back(ReadIp(ip));
  });
  return ips;
}

std::string ReadServiceName(const Field& label) {
  std::string name = label.String();
  if (!name.empty() && !IsLabel(name))
    label.Fail(fmt::format("'{}' is not a Service's name", name));
  return name;
}

void ReadTargetRef(const Field& item, const ObjectName& slice, Endpoint& endpoint) {
  const Field target = item["targetRef"];
  const Field kind = target["kind"];
  const Field ns = target["namespace"];
  const Field name = target["name"];
  if (kind.String() != "Pod") return;
  endpoint.pod = {ns.present() ? ns.String() : slice.ns, name.String()};
}

// Only for measuring: what is no time is none, and the slice counts all the same.
absl::Time TriggeredAt(const Field& annotation) {
  absl::Time time;
  return absl::ParseTime(absl::RFC3339_full, annotation.String(), &time, nullptr)
             ? time
             : absl::InfinitePast();
}

std::vector<std::string> ReadHints(const Field& list) {
  std::vector<std::string> names;
  list.ForEachItem([&](const Field& item) {
    const Field name = item["name"];
    names.push_back(name.String());
  });
  return names;
}

Endpoint ReadEndpoint(const Field& item, const EndpointSlice& slice) {
  Endpoint endpoint;
  const Field addresses = item["addresses"];
  addresses.ForEachItem([&](const Field& address) {
    endpoint.addresses.push_back(ReadIp(address));
    if (endpoint.addresses.back().family() != slice.family) {
      address.Fail(fmt::format("{} is not of the slice's addressType", address.String()));
    }
  });
  if (endpoint.addresses.empty()) addresses.Fail("is missing");
  const Field conditions = item["conditions"];
  const Field ready = conditions["ready"];
  const Field serving = conditions["serving"];
  const Field terminating = conditions["terminating"];
  endpoint.conditions = {ready.Bool(true), serving.Bool(true), terminating.Bool(false)};
  const Field hostname = item["hostname"];
  endpoint.hostname = ReadLabelOrNone(hostname);
  const Field node = item["nodeName"];
  endpoint.node_name = node.String();
  const Field zone = item["zone"];
  endpoint.zone = zone.String();
  const Field hints = item["hints"];
  const Field zones = hints["forZones"];
  endpoint.zone_hints = ReadHints(zones);
  const Field nodes = hints["forNodes"];
  endpoint.node_hints = ReadHints(nodes);
  ReadTargetRef(item, slice.name, endpoint);
  return endpoint;
}

void ReadContainerPorts(const Field& container, std::vector<ContainerPort>& ports) {
  const Field list = container["ports"];
  list.ForEachItem([&](const Field& item) {
    const Field name = item["name"];
    const Field protocol = item["protocol"];
    const Field port = item["containerPort"];
    if (name.String().empty()) return;
    ports.push_back({name.String(), ReadProtocol(protocol), ReadPort(port)});
  });
}

std::vector<ContainerPort> ReadNamedPorts(const Field& spec) {
  std::vector<ContainerPort> ports;
  const Field containers = spec["containers"];
  const Field before = spec["initContainers"];
  containers.ForEachItem([&](const Field& container) { ReadContainerPorts(container, ports); });
  before.ForEachItem([&](const Field& container) {
    const Field policy = container["restartPolicy"];
    if (policy.String() == "Always") ReadContainerPorts(container, ports);
  });
  return ports;
}

std::vector<Object> AtMostOne(std::optional<DnsEgressPolicy> policy) {
  if (!policy.has_value()) return {};
  return {*std::move(policy)};
}

}  // namespace

std::string_view KindName(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kNamespace:
      return "Namespace";
    case ObjectKind::kService:
      return "Service";
    case ObjectKind::kEndpointSlice:
    case ObjectKind::kImportedSlice:
      return "EndpointSlice";
    case ObjectKind::kServiceImport:
      return "ServiceImport";
    case ObjectKind::kPod:
      return "Pod";
    case ObjectKind::kNode:
      return "Node";
    case ObjectKind::kServiceCidr:
      return "ServiceCIDR";
    case ObjectKind::kNetworkPolicy:
      return "NetworkPolicy";
    case ObjectKind::kDnsEgressPolicy:
      return "DNSEgressPolicy";
    case ObjectKind::kClusterNetworkPolicy:
      return "ClusterNetworkPolicy";
    case ObjectKind::kAdminNetworkPolicy:
      return "AdminNetworkPolicy";
  }
  return "";
}

std::string ObjectId::ToString() const {
  if (name.ns.empty()) return fmt::format("{} {}", KindName(kind), name.name);
  return fmt::format("{} {}/{}", KindName(kind), name.ns, name.name);
}

ObjectId IdOf(const Object& object) {
  struct Visitor {
    ObjectId operator()(const Namespace& o) const { return {ObjectKind::kNamespace, {"", o.name}}; }
    ObjectId operator()(const Service& o) const { return {ObjectKind::kService, o.name}; }
    ObjectId operator()(const EndpointSlice& o) const {
      return {o.imported ? ObjectKind::kImportedSlice : ObjectKind::kEndpointSlice, o.name};
    }
    ObjectId operator()(const ServiceImport& o) const {
      return {ObjectKind::kServiceImport, o.name};
    }
    ObjectId operator()(const Pod& o) const { return {ObjectKind::kPod, o.name}; }
    ObjectId operator()(const Node& o) const { return {ObjectKind::kNode, {"", o.name}}; }
    ObjectId operator()(const ServiceCidr& o) const {
      return {ObjectKind::kServiceCidr, {"", o.name}};
    }
    ObjectId operator()(const NetworkPolicy& o) const {
      return {ObjectKind::kNetworkPolicy, o.name};
    }
    ObjectId operator()(const DnsEgressPolicy& o) const {
      switch (o.kind) {
        case DnsEgressPolicy::Kind::kClusterNetworkPolicy:
          return {ObjectKind::kClusterNetworkPolicy, o.name};
        case DnsEgressPolicy::Kind::kAdminNetworkPolicy:
          return {ObjectKind::kAdminNetworkPolicy, o.name};
        case DnsEgressPolicy::Kind::kDnsEgressPolicy:
          break;
      }
      return {ObjectKind::kDnsEgressPolicy, o.name};
    }
  };
  return std::visit(Visitor{}, object);
}

KnownKind KindOf(std::string_view api_version, std::string_view kind) {
  if (api_version == "discovery.k8s.io/v1" && kind == "EndpointSlice") {
    return KnownKind::kEndpointSlice;
  }
  if (kind == "ServiceImport" && (api_version == "multicluster.x-k8s.io/v1alpha1" ||
                                  api_version == "multicluster.x-k8s.io/v1beta1")) {
    return KnownKind::kServiceImport;
  }
  if (kind == "ServiceCIDR" &&
      (api_version == "networking.k8s.io/v1" || api_version == "networking.k8s.io/v1beta1")) {
    return KnownKind::kServiceCidr;
  }
  if (api_version == "networking.k8s.io/v1" && kind == "NetworkPolicy") {
    return KnownKind::kNetworkPolicy;
  }
  if (api_version == "portolan.dev/v1alpha1" && kind == "DNSEgressPolicy") {
    return KnownKind::kDnsEgressPolicy;
  }
  if (api_version == "policy.networking.k8s.io/v1alpha2" && kind == "ClusterNetworkPolicy") {
    return KnownKind::kClusterNetworkPolicy;
  }
  if (api_version == "policy.networking.k8s.io/v1alpha1" && kind == "AdminNetworkPolicy") {
    return KnownKind::kAdminNetworkPolicy;
  }
  if (api_version != "v1") return KnownKind::kUnknown;
  if (kind == "Namespace") return KnownKind::kNamespace;
  if (kind == "Service") return KnownKind::kService;
  if (kind == "Pod") return KnownKind::kPod;
  if (kind == "Node") return KnownKind::kNode;
  return KnownKind::kUnknown;
}

bool InNamespaces(KnownKind kind) {
  switch (kind) {
    case KnownKind::kNamespace:
    case KnownKind::kNode:
    case KnownKind::kServiceCidr:
    case KnownKind::kClusterNetworkPolicy:
    case KnownKind::kAdminNetworkPolicy:
      return false;
    default:
      return true;
  }
}

ObjectName NameOf(const Field& object) {
  const Field metadata = object["metadata"];
  const Field name = metadata["name"];
  const Field ns = metadata["namespace"];
  ObjectName result{ns.String(), name.String()};
  if (result.ns.empty()) result.ns = "default";
  if (!IsLabel(result.ns)) ns.Fail(fmt::format("'{}' is not a DNS label", result.ns));
  if (result.name.empty()) {
    name.Fail("is missing");
  } else if (!IsSubdomain(result.name)) {
    name.Fail(fmt::format("'{}' is not a name", result.name));
  }
  return result;
}

Namespace ReadNamespace(const Field& object, const Origin& origin) {
  const Field metadata = object["metadata"];
  const Field name = metadata["name"];
  const Field labels = metadata["labels"];
  Namespace ns;
  ns.name = NameOf(object).name;
  if (!IsLabel(ns.name)) name.Fail(fmt::format("'{}' is not a DNS label", ns.name));
  ns.labels = ReadLabels(labels);
  const Field annotations = metadata["annotations"];
  ns.annotations = ReadLabels(annotations, kOwnAnnotations);
  ns.origin = origin;
  return ns;
}

Service ReadService(const Field& object, const Origin& origin) {
  const Field metadata = object["metadata"];
  const Field name = metadata["name"];
  const Field labels = metadata["labels"];
  const Field annotations = metadata["annotations"];
  Service service;
  service.name = NameOf(object);
  if (!IsLabel(service.name.name)) {
    name.Fail(fmt::format("'{}' is not a DNS label", service.name.name));
  }
  service.labels = ReadLabels(labels);
  ServiceExtras extras;
  extras.annotations = ReadLabels(annotations, kOwnAnnotations);
  service.origin = origin;

  const Field spec = object["spec"];
  if (!spec.present()) spec.Fail("is missing");
  const Field type = spec["type"];
  service.type = ReadWord<ServiceType>(type, {{"ClusterIP", ServiceType::kClusterIp},
                                              {"NodePort", ServiceType::kNodePort},
                                              {"LoadBalancer", ServiceType::kLoadBalancer},
                                              {"ExternalName", ServiceType::kExternalName}});
  ReadClusterIps(spec, service);
  ReadIpFamilies(spec, service);
  extras.external_name = ReadExternalName(spec, service.type);
  ReadServicePorts(spec, service);
  ReadSessionAffinity(spec, service, extras);
  extras.load_balancer_ips = ReadLoadBalancer(object, service.type);
  const Field external_ips = spec["externalIPs"];
  extras.external_ips = ReadIps(external_ips);
  const Field publish = spec["publishNotReadyAddresses"];
  service.publish_not_ready_addresses = publish.Bool(false);
  const Field internal = spec["internalTrafficPolicy"];
  service.internal_traffic_policy = ReadWord<TrafficPolicy>(
      internal, {{"Cluster", TrafficPolicy::kCluster}, {"Local", TrafficPolicy::kLocal}});
  const Field distribution = spec["trafficDistribution"];
  // Not held against the known words: a newer API server may have more of them, and an unknown one
  // only means no preference.
  extras.traffic_distribution = distribution.String();
  service.extras = std::move(extras);
  return service;
}

ServiceImport ReadServiceImport(const Field& object, const Origin& origin) {
  ServiceImport import;
  import.name = NameOf(object);
  import.origin = origin;
  if (!IsLabel(import.name.name)) {
    const Field metadata = object["metadata"];
    const Field name = metadata["name"];
    name.Fail(fmt::format("'{}' is not a DNS label", import.name.name));
  }
  const Field spec = object["spec"];
  const Field type = spec["type"];
  import.headless = ReadWord<bool>(type, {{"ClusterSetIP", false}, { "Headless", true }});
  const Field ips = spec["ips"];
  if (!import.headless) import.ips = ReadIps(ips);
  const Field ports = spec["ports"];
  ports.ForEachItem([&](const Field& item) { import.ports.push_back(ReadServicePort(item)); });
  return import;
}

std::vector<EndpointSlice> ReadEndpointSlices(const Field& object, const Origin& origin) {
  EndpointSlice slice;
  slice.name = NameOf(object);
  slice.origin = origin;
  const Field metadata = object["metadata"];
  const Field labels = metadata["labels"];
  const Field service = labels[kServiceNameLabel];
  const Field import = labels[kImportNameLabel];
  const Field cluster = labels[kSourceClusterLabel];
  const Field annotations = metadata["annotations"];
  const Field triggered = annotations[kTriggerTime];
  slice.triggered = TriggeredAt(triggered);
  slice.service = ReadServiceName(service);
  const std::string import_name = ReadServiceName(import);
  const Field type = object["addressType"];
  const std::string address_type = type.String();
  if (address_type == "FQDN") return {};
  if (address_type.empty()) type.Fail("is missing");
  slice.family = ReadWord<IpFamily>(type, {{"IPv4", IpFamily::kIpv4}, {"IPv6", IpFamily::kIpv6}});
  const Field ports = object["ports"];
  ports.ForEachItem([&](const Field& item) {
    const Field name = item["name"];
    const Field protocol = item["protocol"];
    const Field port = item["port"];
    const uint16_t number = port.present() ? ReadPort(port) : uint16_t{0};
    slice.ports.push_back({ReadLabelOrNone(name), ReadProtocol(protocol), number});
  });
  const Field endpoints = object["endpoints"];
  endpoints.ForEachItem(
      [&](const Field& item) { slice.endpoints.push_back(ReadEndpoint(item, slice)); });
  if (import_name.empty()) return {slice};
  EndpointSlice imported = slice;
  imported.service = import_name;
  imported.imported = true;
  imported.source_cluster = ReadLabelOrNone(cluster);
  if (slice.service.empty()) return {imported};
  return {slice, imported};
}

Pod ReadPod(const Field& object, const Origin& origin) {
  Pod pod;
  pod.name = NameOf(object);
  pod.origin = origin;
  const Field metadata = object["metadata"];
  const Field labels = metadata["labels"];
  const Field created = metadata["creationTimestamp"];
  const Field deleted = metadata["deletionTimestamp"];
  const Field spec = object["spec"];
  const Field node = spec["nodeName"];
  const Field host_network = spec["hostNetwork"];
  const Field status = object["status"];
  const Field phase = status["phase"];
  const Field ip = status["podIP"];
  const Field ips = status["podIPs"];
  pod.labels = ReadLabels(labels);
  pod.created = ReadTime(created);
  pod.terminating = deleted.present();
  pod.node_name = node.String();
  pod.host_network = host_network.Bool(false);
  pod.finished = phase.String() == "Succeeded" || phase.String() == "Failed";
  ips.ForEachItem([&](const Field& item) {
    const Field address = item["ip"];
    if (address.present()) pod.ips.push_back(ReadIp(address));
  });
  if (pod.ips.empty() && ip.present() && !ip.String().empty()) pod.ips.push_back(ReadIp(ip));
  pod.named_ports = ReadNamedPorts(spec);
  return pod;
}

Node ReadNode(const Field& object, const Origin& origin) {
  Node node;
  node.name = NameOf(object).name;
  node.origin = origin;
  const Field metadata = object["metadata"];
  const Field labels = metadata["labels"];
  const Field zone = labels["topology.kubernetes.io/zone"];
  const Field region = labels["topology.kubernetes.io/region"];
  node.zone = zone.String();
  node.region = region.String();
  const Field spec = object["spec"];
  const Field one = spec["podCIDR"];
  const Field all = spec["podCIDRs"];
  node.pod_cidrs = ReadCidrs(all);
  if (node.pod_cidrs.empty() && one.present()) node.pod_cidrs.push_back(ReadCidr(one));
  const Field status = object["status"];
  const Field addresses = status["addresses"];
  addresses.ForEachItem([&](const Field& item) {
    const Field type = item["type"];
    const Field address = item["address"];
    if (type.String() == "InternalIP") node.internal_ips.push_back(ReadIp(address));
  });
  return node;
}

ServiceCidr ReadServiceCidr(const Field& object, const Origin& origin) {
  const Field spec = object["spec"];
  const Field cidrs = spec["cidrs"];
  return {NameOf(object).name, ReadCidrs(cidrs), origin};
}

std::vector<Object> ReadObjects(const Field& object, KnownKind kind, const Origin& origin) {
  switch (kind) {
    case KnownKind::kNamespace:
      return {ReadNamespace(object, origin)};
    case KnownKind::kService:
      return {ReadService(object, origin)};
    case KnownKind::kEndpointSlice: {
      const std::vector<EndpointSlice> slices = ReadEndpointSlices(object, origin);
      return {slices.begin(), slices.end()};
    }
    case KnownKind::kServiceImport:
      return {ReadServiceImport(object, origin)};
    case KnownKind::kPod:
      return {ReadPod(object, origin)};
    case KnownKind::kNode:
      return {ReadNode(object, origin)};
    case KnownKind::kServiceCidr:
      return {ReadServiceCidr(object, origin)};
    case KnownKind::kNetworkPolicy:
      return {ReadNetworkPolicy(object, origin)};
    case KnownKind::kDnsEgressPolicy:
      return {ReadDnsEgressPolicy(object, origin)};
    case KnownKind::kClusterNetworkPolicy:
      return AtMostOne(ReadClusterNetworkPolicy(object, origin));
    case KnownKind::kAdminNetworkPolicy:
      return AtMostOne(ReadAdminNetworkPolicy(object, origin));
    case KnownKind::kUnknown:
      break;
  }
  return {};
}

}  // namespace portolan::xds
