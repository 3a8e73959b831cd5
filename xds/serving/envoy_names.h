// What Services are called by clients of Envoy's standard types, proxyless gRPC among them.
//
//   NAME.NAMESPACE.svc.ZONE:8080  Listener, RouteConfiguration, Cluster and ClusterLoadAssignment
//   of
//                                 a TCP port
//   NAME.NAMESPACE.svc.ZONE:http  Listener and RouteConfiguration of the TCP port of that name,
//   which
//                                 lead to the Cluster of its number
//   10.43.0.123:8080              Listener of a cluster IP and TCP port, for proxies that
//   connections
//                                 are redirected to; the only ones that the wildcard covers, as a
//                                 gRPC client asks by name and a proxy cannot use the others
//
// An ExternalName Service has no ports or endpoints of its own, and none of these names. Any
// thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "directory/directory.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class EnvoyNames {
 public:
  // `cluster_domain` is the zone, "cluster.local".
  explicit EnvoyNames(std::string_view cluster_domain);

  // Valid as long as the snapshot.
  struct Target {
    const Service* service;
    const ServicePort* port;
  };
  std::optional<Target> Find(ResourceType type, std::string_view name,
                             const Snapshot& snapshot) const;

  std::string ClusterOf(const Service& service, const ServicePort& port) const;

  // Every name of `service` for that type, and the Cluster that it leads to.
  std::map<std::string, std::string> NamesOf(ResourceType type, const Service& service) const;

 private:
  std::string NameOf(const Service& service, std::string_view port) const;
  std::optional<Target> FindByName(std::string_view name, const Snapshot& snapshot) const;

  const std::string suffix_;  // ".svc.cluster.local"
};

}  // namespace portolan::xds
