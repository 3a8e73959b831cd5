#include "dns/plugins/kubernetes_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "directory/service_key.h"

namespace portolan::dns {
namespace {

using Kind = ClusterName::Kind;

// CoreDNS: a namespace exists if its object does and it is not hidden. Here one that has a Service
// exists as well, since the two arrive one after the other.
bool NamespaceShown(std::string_view ns, const KubernetesConfig& config, const ClusterData& data) {
  const auto& listed = config.namespaces;
  if (!listed.empty() && std::find(listed.begin(), listed.end(), ns) == listed.end()) return false;
  const Namespace* object = data.snapshot->FindNamespace(ns);
  if (config.namespace_labels.has_value()) {
    return object != nullptr && config.namespace_labels->Matches(object->labels);
  }
  return object != nullptr || (data.records != nullptr && data.records->NamespaceHasService(ns));
}

ClusterName Empty(bool exists) {
  ClusterName name;
  name.kind = exists ? Kind::kEmpty : Kind::kUnknown;
  return name;
}

ClusterName Of(Kind kind, const ObjectName& owner) {
  ClusterName name;
  name.kind = kind;
  name.owner = &owner;
  return name;
}

std::string_view WithoutUnderscore(std::string_view label) {
  if (label.starts_with('_')) label.remove_prefix(1);
  return label;
}

// What a Service and a ServiceImport have in common.
struct Holder {
  const ObjectName& name;
  bool headless;
  std::span<const IpAddress> ips;
  std::span<const ServicePort> ports;
  const EndpointRecords* records;
  bool knows_endpoints;
};

ClusterName NoEndpoints(const Holder& holder) {
  return holder.knows_endpoints ? ClusterName() : Of(Kind::kNotHeld, holder.name);
}

// Endpoints that have a port of `ports`.
ClusterName EndpointsWith(const Holder& holder, const PortMatch& ports) {
  if (holder.records == nullptr) return NoEndpoints(holder);
  ClusterName found = Of(Kind::kEndpoints, holder.name);
  found.records = holder.records;
  found.ports = ports;
  if (ports.any()) return found;
  const auto takes = [&](const EndpointRecords::Port& port) {
    return ports.Takes(port.name, port.protocol);
  };
  const auto& lists = holder.records->port_lists();
  const bool some = std::any_of(lists.begin(), lists.end(), [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), takes);
  });
  return some ? found : ClusterName();
}

// The Service's own name, or _port._protocol in front of it.
ClusterName OfPorts(const Holder& holder, const PortMatch& ports) {
  // CoreDNS: a headless Service that publishes no endpoint does not exist.
  if (holder.headless) return EndpointsWith(holder, ports);
  const bool some =
      ports.any() ||
      std::any_of(holder.ports.begin(), holder.ports.end(), [&](const ServicePort& port) {
        return ports.Takes(port.name, ProtocolText(port.protocol));
      });
  if (!some) return {};
  ClusterName found = Of(Kind::kClusterIps, holder.name);
  found.ips = holder.ips;
  found.service_ports = holder.ports;
  found.ports = ports;
  return found;
}

// The name of an endpoint; `labels` in front of the Service's.
ClusterName OfEndpoint(const Holder& holder, std::span<const uint8_t> labels,
                       EndpointNaming naming) {
  if (holder.records == nullptr) return NoEndpoints(holder);
  const auto named = holder.records->Named(labels, naming);
  if (named.empty()) return {};
  ClusterName found = Of(Kind::kEndpoints, holder.name);
  found.records = holder.records;
  found.named = named;
  return found;
}

// ZONE.pin._zone and ZONE.prefer._zone in front of a headless Service: its endpoints in a zone, and
// with `prefer` all of them if none is there.
ClusterName OfZone(const Holder& holder, const LabelledName& name, size_t in_front) {
  const std::string_view directive = name.label(in_front - 2);
  if (name.label(in_front - 1) != "_zone" || !holder.headless) return {};
  if (directive != "pin" && directive != "prefer") return {};
  ClusterName found = EndpointsWith(holder, {});
  if (found.kind != Kind::kEndpoints) {
    // The name exists whether or not an endpoint does.
    if (found.kind == Kind::kUnknown) found.kind = Kind::kEndpoints;
    found.owner = &holder.name;
    return found;
  }
  const auto zone = name.first(in_front - 2);
  const auto entries = found.records->entries();
  const bool occupied = std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
    return std::ranges::equal(found.records->ZoneOf(entry), zone);
  });
  if (occupied || directive == "pin") found.zone = zone;
  return found;
}

ClusterName OfHolder(const Holder& holder, const LabelledName& name, size_t in_front,
                     const ServedZone& zone, const KubernetesConfig& config) {
  if (in_front == 0) return OfPorts(holder, {});
  if (in_front == 1) return OfEndpoint(holder, name.first(1), config.naming);
  const bool imported = zone.holds == ServedZone::Holds::kServiceImports;
  if (in_front > 2) {
    return config.zonal && !imported ? OfZone(holder, name, in_front) : ClusterName();
  }
  const std::string_view port = name.label(0), protocol = name.label(1);
  // ENDPOINT.CLUSTER in front of a ServiceImport.
  if (imported && !port.starts_with('_') && !protocol.starts_with('_')) {
    return OfEndpoint(holder, name.first(2), config.naming);
  }
  return OfPorts(holder, PortsAsked(name));
}

ClusterName FindImport(const LabelledName& name, size_t left, const ServedZone& zone,
                       const KubernetesConfig& config, const ClusterData& data) {
  const std::string_view ns = name.label(left - 1);
  const ServiceKey key(ns, name.label(left - 2));
  const ServiceImport* import = data.snapshot->FindServiceImport(key.view());
  if (import == nullptr || !NamespaceShown(ns, config, data)) return {};
  const EndpointRecords* records = data.records == nullptr || !config.endpoints
                                       ? nullptr
                                       : data.records->FindImported(key.view());
  if (config.ignore_empty_service && !import->headless && records == nullptr) return {};
  return OfHolder({import->name, import->headless, import->ips, import->ports, records, true}, name,
                  left - 2, zone, config);
}

ClusterName FindService(const LabelledName& name, size_t left, const ServedZone& zone,
                        const KubernetesConfig& config, const ClusterData& data) {
  const std::string_view ns = name.label(left - 1);
  const ServiceKey key(ns, name.label(left - 2));
  const Service* service = data.snapshot->FindService(ns, name.label(left - 2));
  if (service == nullptr || !IsShown(*service, config, data)) return {};
  const size_t in_front = left - 2;
  if (service->type == ServiceType::kExternalName) {
    ClusterName found;
    if (in_front > 0 || IsIpv4Text(service->extras->external_name)) return found;
    found.kind = Kind::kExternalName;
    found.service = service;
    return found;
  }
  const bool needs_endpoints = service->headless || in_front > 0 || config.ignore_empty_service;
  const EndpointRecords* records =
      needs_endpoints ? EndpointsOf(key.view(), config, data) : nullptr;
  const bool knows_endpoints =
      records != nullptr || !needs_endpoints || KnowsEndpoints(service->name, config, data);
  if (config.ignore_empty_service && !knows_endpoints) return Of(Kind::kNotHeld, service->name);
  return OfHolder({service->name, service->headless, service->cluster_ips, service->ports, records,
                   knows_endpoints},
                  name, in_front, zone, config);
}

ClusterName BelowSvc(const LabelledName& name, size_t left, const ServedZone& zone,
                     const KubernetesConfig& config, const ClusterData& data) {
  if (left == 1) return Empty(NamespaceShown(name.label(0), config, data));
  return zone.holds == ServedZone::Holds::kServiceImports
             ? FindImport(name, left, zone, config, data)
             : FindService(name, left, zone, config, data);
}

// CoreDNS compares texts: another spelling of an IPv6 address is another name.
bool IsSpelledAs(std::string_view label, const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text;
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes().data(), text.data(), text.size());
  std::replace_if(
      text.data(), text.data() + std::strlen(text.data()),
      [](char c) { return c == '.' || c == ':'; }, '-');
  return label == text.data();
}

ClusterName FindPod(const LabelledName& name, size_t left, const KubernetesConfig& config,
                    const ClusterData& data) {
  using Pods = KubernetesConfig::Pods;
  if (config.pods == Pods::kDisabled || left > 2) return {};
  const std::string_view ns = name.label(left - 1);
  if (!NamespaceShown(ns, config, data)) return {};
  if (left == 1) return Empty(true);
  ClusterName pod;
  if (!ParseDashedAddress(name.label(0), &pod.address)) return {};
  if (config.pods == Pods::kInsecure) {
    pod.kind = Kind::kPod;
    return pod;
  }
  if (!IsSpelledAs(name.label(0), pod.address)) return {};
  const AddressOwner* owner = data.snapshot->FindAddress(pod.address);
  if (owner == nullptr) {
    pod.kind = Kind::kUnverified;
  } else if (owner->pod.ns == ns) {
    pod.kind = Kind::kPod;
  }
  return pod;
}

int HexDigit(std::string_view label) {
  if (label.size() != 1) return -1;
  const char c = label[0];
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int DecimalByte(std::string_view label) {
  if (label.empty() || label.size() > 3 || (label.size() > 1 && label[0] == '0')) return -1;
  int value = 0;
  for (const char c : label) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value <= 255 ? value : -1;
}

bool ParseReverseV4(const LabelledName& name, IpAddress* address) {
  std::array<uint8_t, 4> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int byte = DecimalByte(name.label(bytes.size() - 1 - i));
    if (byte < 0) return false;
    bytes[i] = static_cast<uint8_t>(byte);
  }
  *address = IpAddress::V4(bytes);
  return true;
}

bool ParseReverseV6(const LabelledName& name, IpAddress* address) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < 32; ++i) {
    const int nibble = HexDigit(name.label(31 - i));
    if (nibble < 0) return false;
    bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] << 4 | nibble);
  }
  *address = IpAddress::V6(bytes);
  return true;
}

ServedZone::Holds HeldIn(const wire::Zone& zone, const KubernetesConfig& config) {
  if (zone.text.ends_with(".arpa.")) return ServedZone::Holds::kAddresses;
  const bool imports =
      std::any_of(config.multicluster.begin(), config.multicluster.end(),
                  [&](const wire::Zone& listed) { return listed.wire == zone.wire; });
  return imports ? ServedZone::Holds::kServiceImports : ServedZone::Holds::kServices;
}

}  // namespace

std::vector<ServedZone> ServedZones(const KubernetesConfig& config) {
  std::vector<ServedZone> zones;
  for (const wire::Zone& zone : config.zones) zones.push_back({zone, HeldIn(zone, config)});
  return zones;
}

PortMatch PortsAsked(const LabelledName& name) {
  return {WithoutUnderscore(name.label(0)), WithoutUnderscore(name.label(1))};
}

const EndpointRecords* EndpointsOf(std::string_view service_key, const KubernetesConfig& config,
                                   const ClusterData& data) {
  if (data.records == nullptr || !config.endpoints) return nullptr;
  return data.records->Find(service_key);
}

const EndpointRecords* EndpointsOf(const ObjectName& service, const KubernetesConfig& config,
                                   const ClusterData& data) {
  return EndpointsOf(ServiceKey(service).view(), config, data);
}

bool KnowsEndpoints(const ObjectName& service, const KubernetesConfig& config,
                    const ClusterData& data) {
  return !config.endpoints || data.snapshot->KnowsSlices(ServiceKey(service).view());
}

bool IsShown(const Service& service, const KubernetesConfig& config, const ClusterData& data) {
  if (!config.hides_services()) return true;
  if (!NamespaceShown(service.name.ns, config, data)) return false;
  if (config.labels.has_value() && !config.labels->Matches(*service.labels)) return false;
  if (!config.ignore_empty_service || service.headless) return true;
  if (service.type == ServiceType::kExternalName) return true;
  return EndpointsOf(service.name, config, data) != nullptr ||
         !KnowsEndpoints(service.name, config, data);
}

ClusterName FindClusterName(const LabelledName& name, const ServedZone& zone,
                            const KubernetesConfig& config, const ClusterData& data) {
  if (name.labels() == zone.zone.labels) return Empty(true);
  // The labels left of "svc" or "pod".
  const size_t left = name.labels() - zone.zone.labels - 1;
  const std::string_view kind = name.label(left);
  ClusterName found;
  if (kind == "svc" || kind == "pod") {
    if (left == 0) return Empty(true);
    if (zone.holds == ServedZone::Holds::kAddresses) return found;
    return kind == "svc" ? BelowSvc(name, left, zone, config, data)
                         : FindPod(name, left, config, data);
  }
  if (kind == "dns-version" && left == 0) found.kind = Kind::kVersion;
  if (kind == "dns" && left == 1 && name.label(0) == "ns") found.kind = Kind::kNameServer;
  return found;
}

bool IsIpv4Text(std::string_view text) {
  std::array<char, INET_ADDRSTRLEN> copy;
  std::array<uint8_t, 4> bytes;
  if (text.size() >= copy.size()) return false;
  *std::copy(text.begin(), text.end(), copy.begin()) = '\0';
  return inet_pton(AF_INET, copy.data(), bytes.data()) == 1;
}

bool ParseDashedAddress(std::string_view label, IpAddress* address) {
  std::array<char, 64> text;
  if (label.size() >= text.size()) return false;
  const bool v4 = std::count(label.begin(), label.end(), '-') == 3 &&
                  label.find("--") == std::string_view::npos;
  char* end = std::transform(label.begin(), label.end(), text.begin(),
                             [v4](char c) { return c == '-' ? (v4 ? '.' : ':') : c; });
  *end = '\0';
  // A label may hold a zero byte or a dot of its own; what is left must be the whole.
  if (std::strlen(text.data()) != label.size() || label.find('.') != std::string_view::npos) {
    return false;
  }
  std::array<uint8_t, 16> bytes;
  if (inet_pton(v4 ? AF_INET : AF_INET6, text.data(), bytes.data()) != 1) return false;
  *address = v4 ? IpAddress::V4(std::span(bytes).first<4>()) : IpAddress::V6(bytes);
  return true;
}

bool ParseReverseName(const LabelledName& name, IpAddress* address) {
  const size_t labels = name.labels();
  if (labels < 2 || name.label(labels - 1) != "arpa") return false;
  const std::string_view tree = name.label(labels - 2);
  if (tree == "in-addr") return labels == 4 + 2 && ParseReverseV4(name, address);
  return tree == "ip6" && labels == 32 + 2 && ParseReverseV6(name, address);
}

}  // namespace portolan::dns
