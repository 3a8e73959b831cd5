#include "proxy/forwarder/udp_flows.h"

namespace portolan::proxy {

UdpFlow* UdpFlows::Find(const UdpFlowKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : *found;
}

UdpFlow& UdpFlows::Add(const UdpFlowKey& key, absl::Duration now) {
  UdpFlow& flow = slab_.Take();
  flow.key = key;
  flow.opened_at = now;
  flow.last_active = now;
  by_key_.insert(&flow);
  Append(flow);
  return flow;
}

void UdpFlows::Remove(UdpFlow& flow) {
  by_key_.erase(&flow);
  Unlink(flow);
  slab_.Release(flow);
}

void UdpFlows::Touch(UdpFlow& flow, absl::Duration now) {
  Unlink(flow);
  flow.last_active = now;
  Append(flow);
}

void UdpFlows::SetAnswered(UdpFlow& flow, absl::Duration now) {
  Unlink(flow);
  flow.answered = true;
  flow.last_active = now;
  Append(flow);
}

UdpFlow* UdpFlows::Oldest() const {
  UdpFlow* unanswered = Oldest(false);
  UdpFlow* answered = Oldest(true);
  if (unanswered == nullptr || answered == nullptr) {
    return unanswered == nullptr ? answered : unanswered;
  }
  return unanswered->last_active <= answered->last_active ? unanswered : answered;
}

void UdpFlows::Append(UdpFlow& flow) {
  Order& order = order_[flow.answered ? 1 : 0];
  flow.older = order.newest;
  flow.newer = nullptr;
  (order.newest == nullptr ? order.oldest : order.newest->newer) = &flow;
  order.newest = &flow;
}

void UdpFlows::Unlink(UdpFlow& flow) {
  Order& order = order_[flow.answered ? 1 : 0];
  (flow.older == nullptr ? order.oldest : flow.older->newer) = flow.newer;
  (flow.newer == nullptr ? order.newest : flow.newer->older) = flow.older;
}

}  // namespace portolan::proxy
