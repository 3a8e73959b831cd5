// What a worker gives the links of its chains when they are made.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/ip.h"
#include "dns/cluster_data.h"
#include "dns/dialled_instead.h"

namespace portolan {
class EventLoop;
class UseFilter;
}  // namespace portolan

namespace portolan::dns {

class CacheStores;
class OnDemand;

namespace upstream {
class Upstream;
}

// All of it outlives the chains, and so the server; one Upstream serves all configurations that a
// worker has in its life.
struct PluginContext {
  EventLoop& loop;
  const ClusterDataHolder& cluster;
  upstream::Upstream& upstream;
  // The nameservers of the pod's resolv.conf, in order: the cluster DNS, in a cluster.
  std::vector<SocketAddress> pod_resolvers = {};
  // What is dialled in place of those, and of the servers of `forward`.
  DialledInstead dialled_instead = {};
  // The search list of the pod's resolv.conf.
  std::vector<std::string> search = {};
  // The namespace the pod is in; empty where the sidecar was not told.
  std::string pod_namespace = {};
  // Which worker this is, of how many.
  size_t worker = 0;
  size_t workers = 1;
  // Fetches what the directory does not hold; null: what it does not hold does not exist.
  OnDemand* on_demand = nullptr;
  // Where Services that are asked about are marked (ServiceTable::HashOf), so that their endpoints
  // stay held; null: those of all are.
  UseFilter* used_services = nullptr;
  // What the caches of the chains before held; null: every cache begins empty.
  CacheStores* cache_stores = nullptr;
};

}  // namespace portolan::dns
