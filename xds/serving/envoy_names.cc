#include "xds/serving/envoy_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace portolan::xds {
namespace {

bool IsServed(const Service& service, const ServicePort& port) {
  return service.type != ServiceType::kExternalName && port.protocol == Protocol::kTcp;
}

// By number or, where `port` is none, by name.
const ServicePort* FindPort(const Service& service, std::string_view port) {
  const auto found =
      std::find_if(service.ports.begin(), service.ports.end(), [&](const ServicePort& one) {
        return IsServed(service, one) && (port == one.name || port == fmt::format("{}", one.port));
      });
  return found == service.ports.end() || port.empty() ? nullptr : &*found;
}

std::optional<EnvoyNames::Target> FindByAddress(const SocketAddress& address,
                                                const Snapshot& snapshot) {
  const Service* service = snapshot.FindServiceByAddress(address.ip);
  if (service == nullptr) return std::nullopt;
  const auto& own = service->cluster_ips;
  const ServicePort* port = FindPort(*service, fmt::format("{}", address.port));
  if (port == nullptr || std::find(own.begin(), own.end(), address.ip) == own.end()) {
    return std::nullopt;
  }
  return EnvoyNames::Target{service, port};
}

}  // namespace

EnvoyNames::EnvoyNames(std::string_view cluster_domain)
    : suffix_(fmt::format(".svc.{}", cluster_domain)) {}

std::string EnvoyNames::NameOf(const Service& service, std::string_view port) const {
  return fmt::format("{}.{}{}:{}", service.name.name, service.name.ns, suffix_, port);
}

std::string EnvoyNames::ClusterOf(const Service& service, const ServicePort& port) const {
  return NameOf(service, fmt::format("{}", port.port));
}

std::optional<EnvoyNames::Target> EnvoyNames::FindByName(std::string_view name,
                                                         const Snapshot& snapshot) const {
  const size_t colon = name.rfind(':');
  if (colon == name.npos) return std::nullopt;
  const std::string_view port = name.substr(colon + 1);
  std::string_view host = name.substr(0, colon);
  if (!host.ends_with(suffix_)) return std::nullopt;
  host.remove_suffix(suffix_.size());
  const size_t dot = host.find('.');
  if (dot == host.npos) return std::nullopt;
  const Service* service = snapshot.FindService(host.substr(dot + 1), host.substr(0, dot));
  if (service == nullptr) return std::nullopt;
  const ServicePort* found = FindPort(*service, port);
  if (found == nullptr) return std::nullopt;
  return Target{service, found};
}

std::optional<EnvoyNames::Target> EnvoyNames::Find(ResourceType type, std::string_view name,
                                                   const Snapshot& snapshot) const {
  auto target = FindByName(name, snapshot);
  if (target.has_value()) {
    // Only what chooses a Cluster goes by a port's name.
    const bool chooses = type == ResourceType::kListener || type == ResourceType::kRoute;
    if (!chooses && name != ClusterOf(*target->service, *target->port)) return std::nullopt;
    return target;
  }
  if (type != ResourceType::kListener) return std::nullopt;
  const auto address = SocketAddress::Parse(name);
  if (!address.ok() || address->ToString() != name) return std::nullopt;
  return FindByAddress(*address, snapshot);
}

std::map<std::string, std::string> EnvoyNames::NamesOf(ResourceType type,
                                                       const Service& service) const {
  std::map<std::string, std::string> names;
  for (const ServicePort& port : service.ports) {
    if (!IsServed(service, port)) continue;
    const std::string cluster = ClusterOf(service, port);
    names.emplace(cluster, cluster);
    if (type != ResourceType::kListener && type != ResourceType::kRoute) continue;
    if (!port.name.empty()) names.emplace(NameOf(service, port.name), cluster);
    if (type != ResourceType::kListener) continue;
    for (const IpAddress& ip : service.cluster_ips) {
      names.emplace(SocketAddress{ip, port.port}.ToString(), cluster);
    }
  }
  return names;
}

}  // namespace portolan::xds
