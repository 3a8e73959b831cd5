#include "dns/chains.h"

namespace portolan::dns {

void Chains::CollectMetrics(MetricFamilies& families) const {
  const Chain* last = nullptr;
  for (const ZoneChain& zone : zones_) {
    if (zone.chain.get() == last) continue;  // the zones of a block stand together
    last = zone.chain.get();
    for (const auto& link : last->links()) link->CollectMetrics(families);
  }
}

}  // namespace portolan::dns
