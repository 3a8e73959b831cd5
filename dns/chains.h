// One worker's plugin chains, made by Config::Instantiate.
//
//   auto chains = config->Instantiate(context);
//   server.SetChains(chains->zones());
//
// Made and destroyed on the worker's thread. Questions that wait hold on to the chain they began
// with (dns/server/routes.h), so this may go as soon as the server has other chains. At the end of
// a worker: first the Chains, then the server (whose routes are the last use of the links, which
// drop what waits in its slots), then what PluginContext names. CollectMetrics may be called from
// another thread while the object lives: keep it behind a Guarded that the worker swaps it in.
#pragma once

#include <utility>
#include <vector>

#include "common/metrics.h"
#include "dns/plugin.h"
#include "dns/server/routes.h"

namespace portolan::dns {

class Chains {
 public:
  explicit Chains(std::vector<ZoneChain> zones) : zones_(std::move(zones)) {}

  // Every name is in one of them: the root is always there. Zones of a block share its chain.
  const std::vector<ZoneChain>& zones() const { return zones_; }

  // What the links count.
  void CollectMetrics(MetricFamilies& families) const;

 private:
  std::vector<ZoneChain> zones_;
};

}  // namespace portolan::dns
