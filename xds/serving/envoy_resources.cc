#include "xds/serving/envoy_resources.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "directory/port_endpoints.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace portolan::xds {
namespace {

namespace core = envoy::config::core::v3;
namespace http = envoy::extensions::filters::network::http_connection_manager::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LocalityLbEndpoints;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using envoy::extensions::filters::http::router::v3::Router;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

void UseAds(core::ConfigSource& source) {
  source.mutable_ads();
  source.set_resource_api_version(core::V3);
}

void SetAddress(const SocketAddress& from, core::Address& to) {
  core::SocketAddress& address = *to.mutable_socket_address();
  address.set_address(from.ip.ToString());
  address.set_port_value(from.port);
}

Listener TcpListener(const SocketAddress& address, const std::string& cluster) {
  TcpProxy proxy;
  proxy.set_stat_prefix(cluster);
  proxy.set_cluster(cluster);

  Listener listener;
  listener.set_name(address.ToString());
  SetAddress(address, *listener.mutable_address());
  // The address is another's: connections come from the listener that they are redirected to.
  listener.mutable_bind_to_port()->set_value(false);
  auto& filter = *listener.add_filter_chains()->add_filters();
  filter.set_name("envoy.filters.network.tcp_proxy");
  filter.mutable_typed_config()->PackFrom(proxy);
  return listener;
}

RouteConfiguration Route(std::string_view name, const std::string& cluster) {
  RouteConfiguration route;
  route.set_name(std::string(name));
  auto& host = *route.add_virtual_hosts();
  host.set_name(cluster);
  host.add_domains(std::string("*"));  // a literal is a false alarm of g++ 12 (-Wrestrict)
  auto& all = *host.add_routes();
  all.mutable_match()->set_prefix("");
  all.mutable_route()->set_cluster(cluster);
  // Not set it would be 15 s with Envoy.
  all.mutable_route()->mutable_timeout();
  return route;
}

Listener ApiListener(std::string_view name, const std::string& cluster) {
  http::HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  *manager.mutable_route_config() = Route(name, cluster);
  http::HttpFilter& last = *manager.add_http_filters();
  last.set_name("envoy.filters.http.router");
  last.mutable_typed_config()->PackFrom(Router());

  Listener listener;
  listener.set_name(std::string(name));
  listener.mutable_api_listener()->mutable_api_listener()->PackFrom(manager);
  return listener;
}

Cluster EdsCluster(const std::string& name) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  UseAds(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
  cluster.set_lb_policy(Cluster::ROUND_ROBIN);
  // 0 %: while more endpoints drain than are ready, the ready ones take it all.
  cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold();
  return cluster;
}

bool IsReady(const PortEndpoint& one) { return one.endpoint->conditions.ready; }
bool ServesUntilItEnds(const PortEndpoint& one) {
  return one.endpoint->conditions.serving && one.endpoint->conditions.terminating;
}

std::vector<std::shared_ptr<const EndpointSlice>> SlicesOf(const SliceSet& set, IpFamily family) {
  std::vector<std::shared_ptr<const EndpointSlice>> slices;
  for (const auto& [name, slice] : set) {
    if (slice->family == family) slices.push_back(slice);
  }
  return slices;
}

std::vector<PortEndpoint> EndpointsOf(const EnvoyNames::Target& target, const SliceSet* set) {
  if (set == nullptr) return {};
  const auto& ips = target.service->cluster_ips;
  const IpFamily first = ips.empty() ? IpFamily::kIpv4 : ips.front().family();
  auto slices = SlicesOf(*set, first);
  // Headless, and of IPv6 alone.
  if (slices.empty() && ips.empty()) slices = SlicesOf(*set, IpFamily::kIpv6);
  return EndpointsForPort(slices, target.port->name, Protocol::kTcp);
}

// A region is the node's to say.
std::pair<std::string_view, std::string_view> LocalityOf(const Endpoint& endpoint,
                                                         const Snapshot& snapshot) {
  const Node* node = snapshot.FindNode(endpoint.node_name);
  return {node == nullptr ? std::string_view() : node->region, endpoint.zone};
}

ClusterLoadAssignment LoadAssignment(const std::string& cluster, const EnvoyNames::Target& target,
                                     const SliceSet* slices, const Snapshot& snapshot) {
  const auto endpoints = EndpointsOf(target, slices);
  const bool any_ready = std::any_of(endpoints.begin(), endpoints.end(), IsReady);
  std::map<std::pair<std::string_view, std::string_view>, LocalityLbEndpoints> by_locality;
  for (const PortEndpoint& one : endpoints) {
    const bool ready = IsReady(one);
    if (!ready && !ServesUntilItEnds(one)) continue;
    auto& added = *by_locality[LocalityOf(*one.endpoint, snapshot)].add_lb_endpoints();
    SetAddress(one.address, *added.mutable_endpoint()->mutable_address());
    added.set_health_status(ready || !any_ready ? core::HEALTHY : core::DRAINING);
  }
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(cluster);
  for (auto& [place, locality] : by_locality) {
    locality.mutable_locality()->set_region(std::string(place.first));
    locality.mutable_locality()->set_zone(std::string(place.second));
    locality.mutable_load_balancing_weight()->set_value(
        static_cast<uint32_t>(locality.lb_endpoints_size()));
    *assignment.add_endpoints() = std::move(locality);
  }
  return assignment;
}

absl::Time LastArrived(const Service& service, const SliceSet* slices) {
  absl::Time last = service.origin.arrived;
  if (slices == nullptr) return last;
  for (const auto& [name, slice] : *slices) last = std::max(last, slice->origin.arrived);
  return last;
}

}  // namespace

ResourcePtr EncodeEnvoyResource(ResourceType type, std::string_view name, const EnvoyNames& names,
                                const Snapshot& snapshot) {
  const auto target = names.Find(type, name, snapshot);
  if (!target.has_value()) return nullptr;
  const Service& service = *target->service;
  const std::string cluster = names.ClusterOf(service, *target->port);
  const auto encode = [&](const google::protobuf::Message& content) {
    return EncodeResource(type, std::string(name), content, service.origin);
  };
  switch (type) {
    case ResourceType::kCluster:
      return encode(EdsCluster(cluster));
    case ResourceType::kLoadAssignment: {
      const SliceSet* slices = snapshot.FindSlices(service.name.ToString());
      return EncodeResource(type, cluster, LoadAssignment(cluster, *target, slices, snapshot),
                            Origin{{}, LastArrived(service, slices), {}});
    }
    case ResourceType::kListener: {
      const auto address = SocketAddress::Parse(name);
      return encode(address.ok() ? TcpListener(*address, cluster) : ApiListener(name, cluster));
    }
    case ResourceType::kRoute:
      return encode(Route(name, cluster));
    default:
      return nullptr;
  }
}

}  // namespace portolan::xds
