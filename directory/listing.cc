#include "directory/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_split.h"
#include "common/text.h"

namespace portolan {
namespace {

using nlohmann::json;

std::string_view Word(ServiceType type) {
  switch (type) {
    case ServiceType::kClusterIp:
      return "ClusterIP";
    case ServiceType::kNodePort:
      return "NodePort";
    case ServiceType::kLoadBalancer:
      return "LoadBalancer";
    case ServiceType::kExternalName:
      return "ExternalName";
  }
  return "";
}

json AddressesJson(std::span<const IpAddress> addresses) {
  json list = json::array();
  for (const IpAddress& address : addresses) list.push_back(address.ToString());
  return list;
}

template <typename Ports>
json PortsJson(const Ports& ports) {
  json list = json::array();
  for (const auto& port : ports) {
    list.push_back(
        {{"name", port.name}, {"protocol", ProtocolWord(port.protocol)}, {"port", port.port}});
  }
  return list;
}

json EndpointJson(const Endpoint& endpoint) {
  json out = {{"addresses", AddressesJson(endpoint.addresses)},
              {"conditions",
               {{"ready", endpoint.conditions.ready},
                {"serving", endpoint.conditions.serving},
                {"terminating", endpoint.conditions.terminating}}}};
  if (!endpoint.hostname.empty()) out["hostname"] = endpoint.hostname;
  if (!endpoint.node_name.empty()) out["nodeName"] = endpoint.node_name;
  if (!endpoint.zone.empty()) out["zone"] = endpoint.zone;
  if (!endpoint.zone_hints.empty()) out["zoneHints"] = endpoint.zone_hints;
  if (!endpoint.node_hints.empty()) out["nodeHints"] = endpoint.node_hints;
  if (!endpoint.pod.name.empty()) out["pod"] = endpoint.pod.ToString();
  return out;
}

json EndpointCountsJson(const Snapshot& snapshot, const std::string& service_key) {
  if (!snapshot.KnowsSlices(service_key)) return nullptr;
  const EndpointCounts counts = CountEndpoints(snapshot.FindSlices(service_key));
  return {
      {"ready", counts.ready}, {"serving", counts.serving}, {"terminating", counts.terminating}};
}

// Of endpoints that count once: a pod, or where there is none the bytes of an address. Views into
// the endpoint.
NameView CountedAs(const Endpoint& endpoint) {
  if (!endpoint.pod.name.empty()) return {endpoint.pod.ns, endpoint.pod.name};
  const auto bytes = endpoint.addresses.front().bytes();
  return {{}, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
}

bool Matches(const Service& service, const std::string& search, std::string_view cluster_domain) {
  if (search.empty()) return true;
  if (DnsName(service.name, cluster_domain).find(search) != std::string::npos) return true;
  if (Lower(service.extras->external_name).find(search) != std::string::npos) return true;
  for (const IpAddress& address : service.Addresses()) {
    if (address.ToString().find(search) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

std::string_view ProtocolWord(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kSctp:
      return "SCTP";
  }
  return "";
}

std::optional<size_t> ParsePageSize(std::string_view text) {
  if (text.empty()) return kDefaultPageSize;
  size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (limit < 1 || limit > kMaxPageSize) return std::nullopt;
  return limit;
}

json TimeJson(absl::Time time) {
  if (time == absl::Time()) return nullptr;
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string DnsName(const ObjectName& service, std::string_view cluster_domain) {
  return fmt::format("{}.{}.svc.{}", service.name, service.ns, cluster_domain);
}

std::vector<std::string> LabelsBelowSvc(std::string_view name, std::string_view cluster_domain) {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::string lower = Lower(name);
  const std::string suffix = fmt::format(".svc.{}", cluster_domain);
  if (!lower.ends_with(suffix)) return {};
  return absl::StrSplit(absl::string_view(lower).substr(0, lower.size() - suffix.size()), '.');
}

std::string ServiceKeyOf(std::string_view name, std::string_view cluster_domain) {
  const std::vector<std::string> labels = LabelsBelowSvc(name, cluster_domain);
  if (labels.size() < 2) return {};
  return fmt::format("{}/{}", labels.back(), labels[labels.size() - 2]);
}

EndpointCounts CountEndpoints(const SliceSet* slices) {
  EndpointCounts counts;
  if (slices == nullptr) return counts;
  struct Seen {
    bool ready = false;
    bool serving = false;
    bool terminating = false;
  };
  absl::flat_hash_map<NameView, Seen, ServiceHash, std::equal_to<>> seen;
  for (const auto& [name, slice] : *slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty()) continue;
      Seen& it = seen[CountedAs(endpoint)];
      it.ready = it.ready || endpoint.conditions.ready;
      it.serving = it.serving || endpoint.conditions.serving;
      it.terminating = it.terminating || endpoint.conditions.terminating;
    }
  }
  for (const auto& [key, it] : seen) {
    counts.ready += it.ready ? 1 : 0;
    counts.serving += it.serving ? 1 : 0;
    counts.terminating += it.terminating ? 1 : 0;
  }
  return counts;
}

ServicePage ListServices(const Snapshot& snapshot, const ServiceQuery& query,
                         std::string_view cluster_domain) {
  const std::string search = Lower(query.search);
  ServicePage page;
  snapshot.ForEachService([&](const Service& service) {
    if (!query.ns.empty() && service.name.ns != query.ns) return;
    if (service.name <= query.after || !Matches(service, search, cluster_domain)) return;
    page.services.push_back(&service);
  });
  const size_t size = std::min(query.limit, page.services.size());
  std::partial_sort(page.services.begin(), page.services.begin() + static_cast<ptrdiff_t>(size),
                    page.services.end(),
                    [](const Service* a, const Service* b) { return a->name < b->name; });
  page.more = size < page.services.size();
  page.services.resize(size);
  return page;
}

json ServiceJson(const Snapshot& snapshot, const Service& service,
                 std::string_view cluster_domain) {
  json out = {{"namespace", service.name.ns},
              {"name", service.name.name},
              {"dnsName", DnsName(service.name, cluster_domain)},
              {"type", Word(service.type)},
              {"headless", service.headless},
              {"clusterIPs", AddressesJson(service.cluster_ips)},
              {"ports", PortsJson(service.ports)},
              {"endpoints", EndpointCountsJson(snapshot, service.name.ToString())}};
  if (!service.extras->external_name.empty()) out["externalName"] = service.extras->external_name;
  return out;
}

json ServiceDetailJson(const Snapshot& snapshot, const Service& service,
                       std::string_view cluster_domain) {
  json out = ServiceJson(snapshot, service, cluster_domain);
  out["externalIPs"] = AddressesJson(service.extras->external_ips);
  out["loadBalancerIPs"] = AddressesJson(service.extras->load_balancer_ips);
  out["publishNotReadyAddresses"] = service.publish_not_ready_addresses;
  out["sessionAffinity"] =
      service.session_affinity == SessionAffinity::kClientIp ? "ClientIP" : "None";
  if (service.session_affinity == SessionAffinity::kClientIp) {
    out["sessionAffinityTimeoutSeconds"] = service.extras->session_affinity_seconds;
  }
  out["internalTrafficPolicy"] =
      service.internal_traffic_policy == TrafficPolicy::kLocal ? "Local" : "Cluster";
  if (!service.extras->traffic_distribution.empty()) {
    out["trafficDistribution"] = service.extras->traffic_distribution;
  }
  json labels = json::object();
  for (const auto& [key, value] : *service.labels) labels[key] = value;
  out["labels"] = std::move(labels);
  out["resourceVersion"] = std::string(service.origin.resource_version);
  out["arrived"] = TimeJson(service.origin.arrived);
  const std::string key = service.name.ToString();
  out["endpointSlices"] = nullptr;
  if (snapshot.KnowsSlices(key)) out["endpointSlices"] = SlicesJson(snapshot.FindSlices(key));
  return out;
}

json SlicesJson(const SliceSet* slices) {
  json list = json::array();
  if (slices == nullptr) return list;
  for (const auto& [name, slice] : *slices) {
    json endpoints = json::array();
    for (const Endpoint& endpoint : slice->endpoints) endpoints.push_back(EndpointJson(endpoint));
    list.push_back({{"name", slice->name.name},
                    {"addressType", slice->family == IpFamily::kIpv4 ? "IPv4" : "IPv6"},
                    {"ports", PortsJson(slice->ports)},
                    {"endpoints", std::move(endpoints)},
                    {"resourceVersion", std::string(slice->origin.resource_version)},
                    {"arrived", TimeJson(slice->origin.arrived)}});
    if (slice->triggered != absl::InfinitePast()) {
      list.back()["triggered"] = TimeJson(slice->triggered);
    }
  }
  return list;
}

}  // namespace portolan
