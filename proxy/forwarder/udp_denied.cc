// What policy has to say of UDP flows (proxy/policy/egress_gate.h).
#include <algorithm>
#include <vector>

#include "common/monotonic.h"
#include "proxy/forwarder/udp_forwarder.h"

namespace portolan::proxy {

// A Service whose endpoints, or which itself, are not known.
bool UdpForwarder::IsUnheld(const UdpFlowKey& key, const RouteTable::Lookup& found) const {
  if (found.match == RouteTable::Match::kEndpointsUnknown) return true;
  return found.match == RouteTable::Match::kNotAService && parts_.gate != nullptr &&
         parts_.gate->IsOfServices(key.dialled.ip);
}

void UdpForwarder::BeginPass(const UdpFlowKey& key, EgressPass& pass) {
  if (parts_.gate != nullptr) parts_.gate->Begin(pass, key.dialled, Protocol::kUdp, now_);
}

void UdpForwarder::EndPass(EgressPass& pass) {
  if (parts_.gate != nullptr) parts_.gate->End(pass, now_);
}

bool UdpForwarder::MayReach(const EgressPass& pass, const SocketAddress& to) const {
  return parts_.gate == nullptr || parts_.gate->Allows(pass, to, Protocol::kUdp);
}

// `route`: null where it is passed through.
void UdpForwarder::Took(UdpFlow& flow, const Route* route) {
  if (parts_.gate == nullptr) return;
  EgressGate::Attempt attempt{Denied::kFlow, flow.key.client, flow.key.dialled,
                              route == nullptr ? nullptr : &flow.endpoint,
                              &flow.service->name.service};
  if (route != nullptr) attempt.among = route->endpoints;
  parts_.gate->OnTaken(flow.pass, attempt, now_);
}

// `endpoint` of a Service; null: the dialled address.
void UdpForwarder::NoteDenied(const UdpFlowKey& key, const EgressPass& pass,
                              const SocketAddress* endpoint, const CountedService& service) {
  parts_.gate->OnDenied(
      pass, {Denied::kFlow, key.client, key.dialled, endpoint, &service.name.service}, now_);
}

// Another endpoint, with the flow's next datagram.
bool UdpForwarder::MayMove(const UdpFlow& flow) const {
  const RouteTable::Lookup found = routes_->Find(flow.key.dialled, Protocol::kUdp);
  if (found.route == nullptr) return false;
  EgressPass pass = flow.pass;
  pass.unheld = false;  // they are known now
  const std::vector<RouteEndpoint>& endpoints = (*found.route)->endpoints;
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const RouteEndpoint& endpoint) {
    return MayReach(pass, endpoint.address);
  });
}

void UdpForwarder::ReviewDenied() {
  if (parts_.gate == nullptr) return;
  now_ = Monotonic();
  std::vector<UdpFlow*> denied;
  flows_.ForEach([&](UdpFlow& flow) {
    BeginPass(flow.key, flow.pass);
    if (!MayReach(flow.pass, flow.endpoint)) denied.push_back(&flow);
  });
  for (UdpFlow* flow : denied) {
    if (MayMove(*flow)) {
      End(*flow, kRerouted);
      continue;
    }
    NoteDenied(flow->key, flow->pass, flow->target == nullptr ? nullptr : &flow->endpoint,
               *flow->service);
    End(*flow, kDeniedNow);
  }
}

}  // namespace portolan::proxy
