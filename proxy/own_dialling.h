// What the sidecar dials itself (upstream DNS, the control plane) is not captured, so where that is
// a Service's address it chooses endpoints itself, out of the directory, as the forwarder would:
// eligible ones by policy and hints. Then a pod needs no kube-proxy.
//
// Until the directory says who serves them the pod's nameservers are dialled by --cluster-dns, or
// as they are. Main thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "common/metrics.h"
#include "dns/dialled_instead.h"
#include "proxy/forwarder/routes.h"

namespace portolan::proxy {

class OwnDialling {
 public:
  // Of a Service with more endpoints each sidecar asks so many, others than the next one does.
  static constexpr size_t kMostEndpoints = 5;

  struct Options {
    std::vector<SocketAddress> cluster_dns = {};
    std::vector<std::string> control_planes = {};  // "HOST:PORT"
    std::string cluster_domain = {};
    // Which endpoints are asked of many; the pod's name, say.
    std::string seed = {};
  };
  explicit OwnDialling(Options options);

  // Whom the DNS server asks: the nameservers of resolv.conf and what the Corefile names.
  void SetUpstreams(const std::vector<SocketAddress>& nameservers,
                    const std::vector<dns::UpstreamAddress>& others);
  // What the directory says now. Null before there is one.
  void SetRoutes(std::shared_ptr<const RouteTable> routes);

  // For PluginContext.
  const dns::DialledInstead& upstreams() const { return upstreams_; }
  // "ADDRESS:PORT" of each endpoint of the Service that this "HOST:PORT" is: its cluster IP, or
  // SERVICE.NAMESPACE.svc with or without the cluster's domain. None: it is none, or not known.
  std::vector<std::string> EndpointsOf(std::string_view control_plane) const;
  // "namespace/name" of the Services whose endpoints have to be held, sorted.
  std::vector<std::string> Services() const;

  // For each upstream that is a Service's address or is dialled by another: {"service",
  // "endpoints", "source"}; the source is "directory", "--cluster-dns" or "none".
  nlohmann::json Dump() const;
  void CollectMetrics(MetricFamilies& families) const;

 private:
  enum class Source { kNone, kClusterDns, kDirectory };
  struct Dialled {
    std::string service;  // "namespace/name"; empty: not known, or none
    std::vector<SocketAddress> endpoints;
    Source source = Source::kNone;
  };
  static std::string_view SourceName(Source source);

  Dialled Find(const SocketAddress& address, Protocol protocol) const;
  Dialled FindUpstream(const dns::UpstreamAddress& upstream) const;
  std::vector<Dialled> FindControlPlane(std::string_view control_plane) const;
  std::vector<SocketAddress> Pick(std::vector<SocketAddress> endpoints) const;
  void Update();

  const Options options_;
  std::vector<dns::UpstreamAddress> nameservers_;
  std::vector<dns::UpstreamAddress> others_;
  std::shared_ptr<const RouteTable> routes_;
  std::map<dns::UpstreamAddress, Dialled> dialled_;
  dns::DialledInstead upstreams_;
};

}  // namespace portolan::proxy
