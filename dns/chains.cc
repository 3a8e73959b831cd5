#include "dns/chains.h"

#include <algorithm>
#include <utility>

namespace portolan::dns {

Chains::Chains(std::unique_ptr<upstream::Upstream> upstream, std::vector<Block> blocks)
    : upstream_(std::move(upstream)), blocks_(std::move(blocks)) {
  for (const Block& block : blocks_) {
    for (const wire::Zone& zone : block.zones) by_zone_.push_back({zone, &block.chain});
  }
  std::stable_sort(by_zone_.begin(), by_zone_.end(),
                   [](const Entry& a, const Entry& b) { return a.zone.labels > b.zone.labels; });
}

const Chain& Chains::Find(const wire::Query& query) const {
  const auto found = std::find_if(by_zone_.begin(), by_zone_.end(),
                                  [&](const Entry& entry) { return entry.zone.Holds(query); });
  return *(found == by_zone_.end() ? by_zone_.back() : *found).chain;
}

void Chains::CollectMetrics(MetricFamilies& families) const {
  for (const Block& block : blocks_) {
    for (const auto& link : block.chain.links()) link->CollectMetrics(families);
  }
  upstream_->CollectMetrics(families);
}

}  // namespace portolan::dns
