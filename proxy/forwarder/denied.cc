// What policy has to say of connections (egress_gate.h and ingress_gate.h of proxy/policy).
#include <utility>

#include "common/monotonic.h"
#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {

// Towards an endpoint, or the dialled address itself.
void Forwarder::SetOut(Connection& c) {
  if (options_.gate != nullptr) {
    // A Service that is not known: nor is then where a kube-proxy would carry it.
    if (c.route == nullptr && options_.gate->IsOfServices(c.dialled.ip)) c.pass.unheld = true;
    options_.gate->Begin(c.pass, c.dialled, Protocol::kTcp, Monotonic());
  }
  c.route == nullptr ? PassThrough(c) : ConnectToEndpoint(c, nullptr);
}

bool Forwarder::MayReach(const Connection& c, const SocketAddress& to) const {
  if (options_.ingress_gate != nullptr) {
    return options_.ingress_gate->Allows(c.client_address.ip, to.port);
  }
  return options_.gate == nullptr || options_.gate->Allows(c.pass, to, Protocol::kTcp);
}

// `endpoint` of a Service; null: the dialled address.
void Forwarder::Took(Connection& c, const SocketAddress* endpoint) {
  if (options_.ingress_gate != nullptr) {
    options_.ingress_gate->OnTaken(c.client_address, c.dialled, Monotonic());
  }
  if (options_.gate == nullptr) return;
  const ObjectName* service = c.service == nullptr ? nullptr : &c.service->name.service;
  EgressGate::Attempt attempt{Denied::kConnection, c.client_address, c.dialled, endpoint, service};
  if (c.route != nullptr) attempt.among = c.route->endpoints;
  options_.gate->OnTaken(c.pass, attempt, Monotonic());
}

void Forwarder::Deny(Connection& c, ConnectionEvent how) {
  if (options_.ingress_gate != nullptr) {
    options_.ingress_gate->OnDenied(c.client_address, c.dialled, Monotonic());
    return Finish(c, how, Ending::kReset);
  }
  const SocketAddress* endpoint = nullptr;
  if (c.used != nullptr) {
    endpoint = &c.used->address;
  } else if (c.route != nullptr) {
    // The one that was given up by new rules, or any of them: all are denied.
    endpoint = c.attempts > 0 ? &c.tried[c.attempts - 1] : &c.route->endpoints.front().address;
  }
  const ObjectName* service = c.service == nullptr ? nullptr : &c.service->name.service;
  options_.gate->OnDenied(
      c.pass, {Denied::kConnection, c.client_address, c.dialled, endpoint, service}, Monotonic());
  Finish(c, how, Ending::kReset);
}

// By rules that may be others than those by which it set out.
bool Forwarder::IsDeniedNow(Connection& c) {
  if (options_.gate != nullptr) {
    options_.gate->Begin(c.pass, c.dialled, Protocol::kTcp, Monotonic());
  }
  return !MayReach(c, c.Tried().back());
}

void Forwarder::ReviewConnecting(Connection& c) {
  if (!IsDeniedNow(c)) return;
  if (c.route == nullptr) return Deny(c, &ConnectionCounters::denied);
  // As when it could not be connected to, but that is not the endpoint's fault. Where no other is
  // left it is denied.
  DropEndpoint(c);
  balancer_.Release(*std::exchange(c.used, nullptr));
  ConnectToEndpoint(c, nullptr);
}

void Forwarder::ReviewDenied() {
  if (!IsJudged()) return;
  connections_.ForEach([this](Connection& c) {
    if (c.state == Connection::State::kConnecting && !c.awaits_endpoints) {
      ReviewConnecting(c);
    } else if (c.state == Connection::State::kJoined && options_.end_denied) {
      if (IsDeniedNow(c)) Deny(c, &ConnectionCounters::denied_joined);
    }
  });
}

}  // namespace portolan::proxy
