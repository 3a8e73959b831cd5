// One worker's plugin chains: which server block a question belongs to, and the links of each.
//
// Made by Config::Instantiate. Everything runs on the worker's loop but CollectMetrics, which may
// be called from another thread as long as the object lives: whoever replaces a worker's chains
// sees to that. Questions under way hold on to their chain: keep an old one until idle() is true,
// at most the upstreams' deadline of 5 s, before letting go of it.
#pragma once

#include <memory>
#include <vector>

#include "common/event_loop.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/cluster_data.h"
#include "dns/plugin.h"
#include "dns/upstream/upstream.h"
#include "dns/wire/name.h"

namespace portolan::dns {

// What a worker gives its plugins. `loop` and `cluster` outlive the chains.
struct PluginContext {
  EventLoop& loop;
  const ClusterDataHolder& cluster;
  // The nameservers of the pod's resolv.conf, in order: the cluster DNS, in a cluster.
  std::vector<SocketAddress> pod_resolvers;
  size_t worker = 0;
};

class Chains {
 public:
  struct Block {
    std::vector<wire::Zone> zones;
    Chain chain;
  };

  Chains(std::unique_ptr<upstream::Upstream> upstream, std::vector<Block> blocks);

  // The chain of the block whose zone holds the name and has most labels. There is one for every
  // name: what no block holds goes to the pod's resolvers.
  const Chain& Find(const wire::Query& query) const;

  // visit(const wire::Zone&, const Chain&), the zones with most labels first.
  template <typename F>
  void ForEachZone(F&& visit) const {
    for (const Entry& entry : by_zone_) visit(entry.zone, *entry.chain);
  }

  // No question of these chains is under way.
  bool idle() const { return upstream_->flights() == 0; }

  void CollectMetrics(MetricFamilies& families) const;

 private:
  struct Entry {
    wire::Zone zone;
    const Chain* chain;
  };

  // Outlives the links, which refer to it.
  std::unique_ptr<upstream::Upstream> upstream_;
  std::vector<Block> blocks_;
  std::vector<Entry> by_zone_;  // most labels first; the root is the last
};

}  // namespace portolan::dns
