// Flows that wait for the endpoints of their Service: there is no flow yet, but its first datagrams
// are kept.
#include <sys/socket.h>

#include <cerrno>

#include "common/monotonic.h"
#include "proxy/forwarder/udp_forwarder.h"

namespace portolan::proxy {
namespace {

// Endpoints are not asked for again so soon.
constexpr absl::Duration kAskedFor = absl::Milliseconds(500);
// A timer may fire a little early by our clock.
constexpr absl::Duration kSoonest = absl::Milliseconds(1);

}  // namespace

bool UdpForwarder::MayAwait(const UdpFlowKey& key, const ObjectName& service) {
  if (options_.want_endpoints == nullptr) return false;
  if (kept_.Holds(key)) return true;
  const ServiceKey service_key(service);
  // Also where nobody waits: then the next one may find them.
  if (!asked_endpoints_.Holds(service_key, now_)) {
    asked_endpoints_.Add(service_key, now_ + kAskedFor);
    options_.want_endpoints(service_key);
  }
  if (answering_ && kept_.flows().size() < KeptDatagrams::kMostFlows) return true;
  (answering_ ? counters_->wait_no_place : counters_->wait_not_answering).Add();
  return false;
}

void UdpForwarder::Keep(const UdpFlowKey& key, size_t begin, size_t end) {
  if (kept_.flows().empty()) await_timer_.Start(options_.endpoints_timeout);
  for (size_t i = begin; i < end; ++i) {
    if (!kept_.Keep(key, batch_->payload(i), now_)) counters_->await_dropped.Add();
  }
}

// What was kept goes where it would go if it came now.
void UdpForwarder::GoOn(const UdpFlowKey& key, Unheld unheld, Counter& outcome) {
  outcome.Add();
  now_ = Monotonic();
  const Opened opened = Open(key, {}, unheld);
  size_t dropped = 0;
  kept_.Take(key, [&](std::span<const std::byte> payload) {
    opened.flow == nullptr ? static_cast<void>(++dropped) : SendKept(*opened.flow, payload);
  });
  if (opened.flow != nullptr) return;
  Reject(key);
  CountDropped(key, opened, dropped);
}

void UdpForwarder::SendKept(UdpFlow& flow, std::span<const std::byte> payload) {
  if (send(flow.fd.get(), payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    const bool is_full = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    return (is_full ? counters_->buffer_full : counters_->unreachable).Add();
  }
  (flow.target == nullptr ? counters_->passed_through : counters_->forwarded).Add();
  CountUp(flow, payload.size());
}

// After a change of the routes.
void UdpForwarder::ReviewAwaiting() {
  for (const KeptDatagrams::Flow& flow : std::vector<KeptDatagrams::Flow>(kept_.flows())) {
    const RouteTable::Lookup found = routes_->Find(flow.key.dialled, Protocol::kUdp);
    if (found.match == RouteTable::Match::kEndpointsUnknown) continue;
    GoOn(flow.key, Unheld::kAwait, counters_->wait_held);
  }
}

void UdpForwarder::SetFeedAnswering(bool answering) {
  answering_ = answering;
  if (answering) return;
  while (!kept_.flows().empty()) {
    const UdpFlowKey key = kept_.flows().front().key;
    GoOn(key, Unheld::kPassThrough, counters_->wait_lost);
  }
}

void UdpForwarder::OnAwaitedLongEnough() {
  const absl::Duration now = Monotonic();
  while (!kept_.flows().empty()) {
    const KeptDatagrams::Flow& oldest = kept_.flows().front();
    const absl::Duration left = oldest.since + options_.endpoints_timeout - now;
    if (left > absl::ZeroDuration()) return await_timer_.Start(std::max(left, kSoonest));
    const UdpFlowKey key = oldest.key;
    GoOn(key, Unheld::kPassThrough, counters_->wait_timed_out);
  }
}

}  // namespace portolan::proxy
