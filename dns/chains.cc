#include "dns/chains.h"

namespace portolan::dns {

void Chains::CollectMetrics(MetricFamilies& families) const {
  const Chain* last = nullptr;
  for (const ZoneChain& zone : zones_) {
    for (const auto& link : zone.chain->links()) {
      SetGaugeSample(
          families, "coredns_plugin_enabled", "Directives of a zone that are links of its chain.",
          {{"server", zone.server}, {"zone", zone.zone.text}, {"view", ""}, {"name", link->name()}},
          1);
    }
    if (zone.chain.get() == last) continue;  // the zones of a block stand together
    last = zone.chain.get();
    for (const auto& link : last->links()) link->CollectMetrics(families);
  }
}

}  // namespace portolan::dns
