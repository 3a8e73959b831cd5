// Connections that wait for the endpoints of their Service.
#include <event2/event.h>

#include <algorithm>
#include <utility>

#include "common/monotonic.h"
#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {
namespace {

// Endpoints are not asked for again so soon.
constexpr absl::Duration kAskedFor = absl::Milliseconds(500);

}  // namespace

void Forwarder::AwaitEndpoints(Connection& c, const ObjectName& service) {
  if (options_.want_endpoints == nullptr) return PassThroughUnheld(c);
  const ServiceKey key(service);
  const absl::Duration now = Monotonic();
  // Also where nobody waits: then the next one may find them.
  if (!asked_endpoints_.Holds(key, now)) {
    asked_endpoints_.Add(key, now + kAskedFor);
    options_.want_endpoints(key);
  }
  if (!answering_ || awaiting_.size() >= kMostAwaiting) {
    (answering_ ? counters_->wait_no_place : counters_->wait_not_answering).Add();
    return PassThroughUnheld(c);
  }
  c.awaits_endpoints = true;
  awaiting_.push_back(&c);
  event_add(&c.timer, endpoints_timeout_);
}

void Forwarder::EndAwaiting(Connection& c, Counter& outcome) {
  outcome.Add();
  c.awaits_endpoints = false;
  std::erase(awaiting_, &c);
  event_del(&c.timer);
}

// A kube-proxy, where there is one, still serves it. Who would serve it is not known, though, so
// that policy has little to allow it by.
void Forwarder::PassThroughUnheld(Connection& c) {
  c.pass.unheld = true;
  SetOut(c);
}

void Forwarder::SetFeedAnswering(bool answering) {
  answering_ = answering;
  if (answering) return;
  for (Connection* c : std::vector<Connection*>(awaiting_)) {
    EndAwaiting(*c, counters_->wait_lost);
    PassThroughUnheld(*c);
  }
}

// After a change of the routes.
void Forwarder::ReviewAwaiting() {
  for (Connection* c : std::vector<Connection*>(awaiting_)) {
    const RouteTable::Lookup found = routes_->Find(c->dialled, Protocol::kTcp);
    if (found.match == RouteTable::Match::kEndpointsUnknown) continue;
    EndAwaiting(*c, counters_->wait_held);
    Proceed(*c, found);
  }
}

}  // namespace portolan::proxy
