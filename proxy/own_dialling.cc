#include "proxy/own_dialling.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "directory/service_key.h"

namespace portolan::proxy {
namespace {

struct HostAndPort {
  std::string_view host;
  uint16_t port = 0;
};

std::optional<HostAndPort> SplitPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostAndPort split{.host = text.substr(0, colon)};
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), split.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return split;
}

// The Service of SERVICE.NAMESPACE.svc[.DOMAIN][.]
const Service* FindByName(const Snapshot& snapshot, std::string_view host,
                          std::string_view domain) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string behind = "." + std::string(domain);
  if (host.ends_with(behind)) host.remove_suffix(behind.size());
  if (!host.ends_with(".svc")) return nullptr;
  host.remove_suffix(4);
  const size_t dot = host.find('.');
  if (dot == std::string_view::npos) return nullptr;
  return snapshot.FindService(host.substr(dot + 1), host.substr(0, dot));
}

std::vector<dns::UpstreamAddress> OverUdp(const std::vector<SocketAddress>& addresses) {
  std::vector<dns::UpstreamAddress> upstreams;
  for (const SocketAddress& address : addresses) upstreams.push_back({address});
  return upstreams;
}

}  // namespace

OwnDialling::OwnDialling(Options options) : options_(std::move(options)) {}

void OwnDialling::SetUpstreams(const std::vector<SocketAddress>& nameservers,
                               const std::vector<dns::UpstreamAddress>& others) {
  nameservers_ = OverUdp(nameservers);
  others_ = others;
  Update();
}

void OwnDialling::SetRoutes(std::shared_ptr<const RouteTable> routes) {
  routes_ = std::move(routes);
  Update();
}

void OwnDialling::Update() {
  dialled_.clear();
  for (const dns::UpstreamAddress& upstream : others_) dialled_[upstream] = FindUpstream(upstream);
  for (const dns::UpstreamAddress& upstream : nameservers_) {
    Dialled& dialled = dialled_[upstream] = FindUpstream(upstream);
    // The directory's word counts, also that an address is no Service's or that nobody serves it.
    const bool is_unknown =
        routes_ == nullptr || routes_->Find(upstream.address, upstream.protocol).match ==
                                  RouteTable::Match::kEndpointsUnknown;
    if (!is_unknown || options_.cluster_dns.empty()) continue;
    dialled.endpoints = Pick(options_.cluster_dns);
    dialled.source = Source::kClusterDns;
  }
  upstreams_.clear();
  for (const auto& [upstream, dialled] : dialled_) {
    if (!dialled.endpoints.empty()) upstreams_[upstream] = dialled.endpoints;
  }
}

OwnDialling::Dialled OwnDialling::FindUpstream(const dns::UpstreamAddress& upstream) const {
  return Find(upstream.address, upstream.protocol);
}

OwnDialling::Dialled OwnDialling::Find(const SocketAddress& address, Protocol protocol) const {
  using Match = RouteTable::Match;
  if (routes_ == nullptr) return {};
  const RouteTable::Lookup found = routes_->Find(address, protocol);
  if (found.match == Match::kNotAService || found.match == Match::kNoSuchPort) return {};
  Dialled dialled{.service = found.service->ToString(), .endpoints = {}};
  if (found.match != Match::kEndpoints) return dialled;
  dialled.source = Source::kDirectory;
  for (const RouteEndpoint& endpoint : (*found.route)->endpoints) {
    dialled.endpoints.push_back(endpoint.address);
  }
  dialled.endpoints = Pick(std::move(dialled.endpoints));
  return dialled;
}

// By a hash of each (rendezvous): when one comes or goes the others stay.
std::vector<SocketAddress> OwnDialling::Pick(std::vector<SocketAddress> endpoints) const {
  std::sort(endpoints.begin(), endpoints.end());
  if (endpoints.size() <= kMostEndpoints) return endpoints;
  const auto rank = [&](const SocketAddress& endpoint) {
    return std::hash<std::string>()(options_.seed + ' ' + endpoint.ToString());
  };
  std::sort(endpoints.begin(), endpoints.end(), [&](const SocketAddress& a, const auto& b) {
    return std::pair(rank(a), a) < std::pair(rank(b), b);
  });
  endpoints.resize(kMostEndpoints);
  return endpoints;
}

std::vector<OwnDialling::Dialled> OwnDialling::FindControlPlane(
    std::string_view control_plane) const {
  if (routes_ == nullptr) return {};
  if (const auto address = SocketAddress::Parse(control_plane); address.ok()) {
    return {Find(*address, Protocol::kTcp)};
  }
  const auto named = SplitPort(control_plane);
  if (!named) return {};
  const Service* service = FindByName(routes_->snapshot(), named->host, options_.cluster_domain);
  if (service == nullptr) return {};
  std::vector<Dialled> all;
  for (const IpAddress& ip : service->cluster_ips) {
    all.push_back(Find({ip, named->port}, Protocol::kTcp));
  }
  return all;
}

std::vector<std::string> OwnDialling::EndpointsOf(std::string_view control_plane) const {
  std::vector<std::string> endpoints;
  for (const Dialled& dialled : FindControlPlane(control_plane)) {
    for (const SocketAddress& endpoint : dialled.endpoints) {
      endpoints.push_back(endpoint.ToString());
    }
  }
  return endpoints;
}

std::vector<std::string> OwnDialling::Services() const {
  std::set<std::string> services;
  for (const auto& [upstream, dialled] : dialled_) services.insert(dialled.service);
  for (const std::string& control_plane : options_.control_planes) {
    for (const Dialled& dialled : FindControlPlane(control_plane)) services.insert(dialled.service);
  }
  services.erase("");
  return {services.begin(), services.end()};
}

std::string_view OwnDialling::SourceName(Source source) {
  switch (source) {
    case Source::kClusterDns:
      return "--cluster-dns";
    case Source::kDirectory:
      return "directory";
    case Source::kNone:
      break;
  }
  return "none";
}

nlohmann::json OwnDialling::Dump() const {
  nlohmann::json dump = nlohmann::json::object();
  for (const auto& [upstream, dialled] : dialled_) {
    if (dialled.service.empty() && dialled.endpoints.empty()) continue;
    nlohmann::json endpoints = nlohmann::json::array();
    for (const SocketAddress& endpoint : dialled.endpoints) {
      endpoints.push_back(endpoint.ToString());
    }
    dump[upstream.address.ToString()] = {{"service", dialled.service},
                                         {"endpoints", std::move(endpoints)},
                                         {"source", SourceName(dialled.source)}};
  }
  return dump;
}

void OwnDialling::CollectMetrics(MetricFamilies& families) const {
  for (const auto& [upstream, dialled] : dialled_) {
    const std::string address = upstream.address.ToString();
    SetGaugeSample(families, "portolan_upstream_endpoints",
                   "Endpoints that are asked in place of an upstream that is a Service; source "
                   "none: it is asked as it is.",
                   {{"upstream", address}, {"source", SourceName(dialled.source)}},
                   static_cast<double>(dialled.endpoints.size()));
  }
}

}  // namespace portolan::proxy
