#include "proxy/forwarder/kept_datagrams.h"

namespace portolan::proxy {

KeptDatagrams::KeptDatagrams() : bytes_(std::make_unique_for_overwrite<std::byte[]>(kMostBytes)) {
  flows_.reserve(kMostFlows);
  datagrams_.reserve(kMostFlows * kMostOfFlow);
}

const KeptDatagrams::Flow* KeptDatagrams::Find(const UdpFlowKey& key) const {
  const auto found =
      std::find_if(flows_.begin(), flows_.end(), [&](const Flow& flow) { return flow.key == key; });
  return found == flows_.end() ? nullptr : &*found;
}

bool KeptDatagrams::Keep(const UdpFlowKey& key, std::span<const std::byte> payload,
                         absl::Duration now) {
  auto flow = std::find_if(flows_.begin(), flows_.end(),
                           [&](const Flow& known) { return known.key == key; });
  const size_t of_flow = flow == flows_.end() ? 0 : flow->count;
  const bool is_one_flow_too_many = flow == flows_.end() && flows_.size() == kMostFlows;
  if (is_one_flow_too_many || of_flow == kMostOfFlow || used_ + payload.size() > kMostBytes) {
    return false;
  }
  if (flow == flows_.end()) flow = flows_.insert(flow, {key, now, 0, next_number_++});
  ++flow->count;
  datagrams_.push_back({flow->number, static_cast<uint32_t>(payload.size())});
  std::copy(payload.begin(), payload.end(), bytes_.get() + used_);
  used_ += payload.size();
  return true;
}

}  // namespace portolan::proxy
