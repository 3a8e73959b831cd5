#include "proxy/forwarder/udp_forwarder.h"

#include <event2/event.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/monotonic.h"

namespace portolan::proxy {
namespace {

// Taken from one socket before other events have their turn.
constexpr int kBatchesPerTurn = 4;
constexpr absl::Duration kSweepEvery = absl::Seconds(1);
constexpr absl::Duration kOverrunEvery = absl::Seconds(1);
// A refusal takes no longer. Who sends on after that has an endpoint that listens, answer or not.
constexpr absl::Duration kRefusedWithin = absl::Seconds(1);

// Whether the endpoint is in the directory and serves, eligible for new flows or not: kube-proxy
// forgets the flows of others alone.
bool Serves(const Route& route, const SocketAddress& address) {
  for (const auto& slice : route.slices) {
    const bool has_port =
        std::any_of(slice->ports.begin(), slice->ports.end(), [&](const EndpointPort& port) {
          return port.port == address.port && port.protocol == Protocol::kUdp &&
                 port.name == route.target->port_name;
        });
    if (!has_port) continue;
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty() || endpoint.addresses.front() != address.ip) continue;
      if (endpoint.conditions.ready || endpoint.conditions.serving) return true;
    }
  }
  return false;
}

bool IsSame(const std::weak_ptr<const Route>& one, const std::shared_ptr<const Route>& other) {
  return !one.owner_before(other) && !other.owner_before(one);
}

// What ICMP said of a datagram sent earlier, ip(7); the socket works on.
bool IsIcmpError(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == EHOSTDOWN || error == EPROTO || error == ENOPROTOOPT || error == EACCES;
}

bool IsBufferFull(int error) { return error == EAGAIN || error == ENOBUFS || error == ENOMEM; }

}  // namespace

struct UdpForwarder::Listening {
  Fd fd;
  SocketAddress address;
  EventLoop::Watch watch;
  absl::Duration overrun_noted;
  uint32_t overrun = 0;  // since the socket was opened

  // Or it was sent here without TPROXY.
  bool IsOwn(const SocketAddress& dialled) const {
    return dialled.port == address.port &&
           (dialled.ip == address.ip || dialled.ip.is_loopback() || dialled.ip.is_unspecified() ||
            address.ip.is_unspecified());
  }
};

UdpForwarder::UdpForwarder(EventLoop& loop, UdpSockets sockets, UdpForwarderOptions options,
                           ForwarderParts parts)
    : loop_(loop),
      options_(std::move(options)),
      parts_(parts),
      sweep_(loop.AddTimer([this] { Sweep(); })),
      await_timer_(loop.AddTimer([this] { OnAwaitedLongEnough(); })),
      answers_v4_(std::move(sockets.answers_v4)),
      answers_v6_(std::move(sockets.answers_v6)) {
  for (UdpSockets::Listener& listener : sockets.listeners) {
    auto& listening = listening_.emplace_back(std::make_unique<Listening>());
    listening->fd = std::move(listener.fd);
    listening->address = listener.address;
    listening->watch = loop.AddWatch(listening->fd.get(), EventLoop::Interest::kRead,
                                     [this, self = listening.get()] { TakeFrom(*self); });
  }
}

UdpForwarder::~UdpForwarder() {
  for (const KeptDatagrams::Flow& flow : kept_.flows()) {
    counters_->wait_ended.Add();
    counters_->await_dropped.Add(flow.count);
  }
  while (UdpFlow* flow = flows_.Oldest()) End(*flow, kCut);
}

void UdpForwarder::SetRoutes(std::shared_ptr<const RouteTable> routes) {
  routes_ = std::move(routes);
  ++routes_version_;
  ReviewAwaiting();
}

void UdpForwarder::TakeFrom(Listening& listening) {
  now_ = Monotonic();
  NoteOverrun(listening);
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    // An unconnected socket has no errors of others to tell.
    if (batch_->Receive(listening.fd.get()) != 0) return;
    const size_t size = batch_->size();
    for (size_t begin = 0; begin < size;) begin = ForwardRun(listening, begin);
    if (size < DatagramBatch::kMost) return;
  }
}

void UdpForwarder::NoteOverrun(Listening& listening) {
  if (now_ - listening.overrun_noted < kOverrunEvery) return;
  listening.overrun_noted = now_;
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof info;
  if (getsockopt(listening.fd.get(), SOL_SOCKET, SO_MEMINFO, info, &length) != 0) return;
  counters_->overrun.Add(info[SK_MEMINFO_DROPS] - listening.overrun);  // right also when it wraps
  listening.overrun = info[SK_MEMINFO_DROPS];
}

// Sends on those from `begin` on that belong to one flow; the first one that does not.
size_t UdpForwarder::ForwardRun(const Listening& listening, size_t begin) {
  const auto drop = [&](Counter& why) {
    why.Add();
    return begin + 1;
  };
  if (batch_->truncated(begin)) return drop(counters_->truncated);
  const auto client = batch_->source(begin);
  const auto dialled = batch_->dialled(begin);
  if (!client.has_value() || !dialled.has_value()) return drop(counters_->no_destination);
  if (listening.IsOwn(*dialled)) return drop(counters_->loop_refused);
  size_t end = begin + 1;
  while (end < batch_->size() && !batch_->truncated(end) && batch_->source(end) == client &&
         batch_->dialled(end) == dialled) {
    ++end;
  }
  SendRun({*client, *dialled}, begin, end);
  return end;
}

void UdpForwarder::SendRun(const UdpFlowKey& key, size_t begin, size_t end) {
  bool refused = false;
  while (begin < end) {
    const Opened opened = FlowFor(key);
    if (opened.awaits) return Keep(key, begin, end);
    UdpFlow* flow = opened.flow;
    if (flow == nullptr) {
      Reject(key);
      return CountDropped(key, opened, end - begin);
    }
    flows_.Touch(*flow, now_);
    const DatagramBatch::Sent sent = batch_->SendOn(flow->fd.get(), begin, end);
    (flow->target == nullptr ? counters_->passed_through : counters_->forwarded).Add(sent.count);
    CountUp(*flow, batch_->Bytes(begin, begin + sent.count));
    begin += sent.count;
    if (sent.error == 0) {
      if (now_ - flow->opened_at > kRefusedWithin) OnAnswering(*flow);
    } else if (IsBufferFull(sent.error)) {
      return counters_->buffer_full.Add(end - begin);
    } else if (IsIcmpError(sent.error) && !std::exchange(refused, true)) {
      // What an earlier datagram met. This one was not sent: it goes to another endpoint.
      OnRefused(*flow);
    } else {
      counters_->unreachable.Add();
      ++begin;
    }
  }
}

UdpForwarder::Opened UdpForwarder::FlowFor(const UdpFlowKey& key) {
  UdpFlow* flow = flows_.Find(key);
  if (flow == nullptr) return Open(key, {});
  if (flow->refused) {
    const SocketAddress refused = flow->endpoint;
    End(*flow, kRefused);
    return Open(key, {&refused, 1});
  }
  if (IsCurrent(*flow)) return {.flow = flow};
  End(*flow, kRerouted);
  return Open(key, {});
}

bool UdpForwarder::IsCurrent(UdpFlow& flow) const {
  if (flow.routes_version == routes_version_) return true;
  flow.routes_version = routes_version_;
  const RouteTable::Lookup found = routes_->Find(flow.key.dialled, Protocol::kUdp);
  // No Service's address, or one of whose Service the endpoints may be waited for.
  if (found.route == nullptr) return flow.target == nullptr && found.match == flow.match;
  const std::shared_ptr<const Route>& route = *found.route;
  if (flow.target != route->target) return false;
  if (!IsSame(flow.route, route) && !Serves(*route, flow.endpoint)) return false;
  flow.route = route;
  return true;
}

UdpForwarder::Opened UdpForwarder::Open(const UdpFlowKey& key,
                                        std::span<const SocketAddress> refused, Unheld unheld) {
  using Match = RouteTable::Match;
  const RouteTable::Lookup found = routes_->Find(key.dialled, Protocol::kUdp);
  const CountedService& service = ServiceOf(found, key.dialled);
  const auto drop = [&](const Drop& why) {
    return Opened{.flow = nullptr, .dropped = &why, .service = &service};
  };
  if (found.match == Match::kNoSuchPort) return drop(kNoPort);
  if (found.match == Match::kNoEndpoints) return drop(kNoEndpoints);
  if (found.match == Match::kNoLocalEndpoints) return drop(kNoLocalEndpoints);
  if (found.match == Match::kEndpointsUnknown && unheld == Unheld::kAwait &&
      MayAwait(key, *found.service)) {
    return {.awaits = true};
  }
  const Route* const route = found.route == nullptr ? nullptr : found.route->get();
  if (route != nullptr && !route->target->Enter(route->policy.max_connections)) {
    return drop(kOverLimit);
  }
  // Before another flow makes room for it.
  const Chosen chosen = Choose(key, refused, found);
  if (!chosen.allowed) {
    NoteDenied(key, chosen.pass, route == nullptr ? nullptr : &route->endpoints.front().address,
               service);
    if (route != nullptr) route->target->Leave();
    return drop(kDenied);
  }
  if (flows_.size() >= options_.max_flows) End(*flows_.Oldest(), kEvicted);
  if (flows_.size() == 0) sweep_.Start(kSweepEvery);
  UdpFlow& flow = flows_.Add(key, now_);
  flow.owner = this;
  flow.pass = chosen.pass;
  flow.endpoint = key.dialled;
  flow.service = &service;
  flow.routes_version = routes_version_;
  flow.match = found.match;
  if (route != nullptr) {
    flow.target = route->target;
    flow.route = *found.route;
    flow.used = chosen.used;
    flow.endpoint = chosen.used->address;
  }
  Took(flow, route);
  if (const Drop* failure = Connect(flow)) {
    Discard(flow);
    return drop(*failure);
  }
  CountOpened(flow);
  if (flow.pass.unheld) counters_->endpoints_unknown.Add();
  return {.flow = &flow};
}

// An endpoint of the route, or the dialled address where there is none.
UdpForwarder::Chosen UdpForwarder::Choose(const UdpFlowKey& key,
                                          std::span<const SocketAddress> refused,
                                          const RouteTable::Lookup& found) {
  Chosen chosen{.pass = {.unheld = IsUnheld(key, found)}};
  BeginPass(key, chosen.pass);
  const auto allows = [&](const SocketAddress& to) { return MayReach(chosen.pass, to); };
  if (found.route == nullptr) {
    chosen.allowed = allows(key.dialled);
  } else {
    const Route& route = **found.route;
    chosen.used = parts_.balancer.Take(route, refused, now_, allows);
    // The only one there is may be back.
    if (chosen.used == nullptr) chosen.used = parts_.balancer.Take(route, {}, now_, allows);
    chosen.allowed = chosen.used != nullptr;
  }
  if (!chosen.allowed) EndPass(chosen.pass);
  return chosen;
}

// Null, or why not.
const UdpForwarder::Drop* UdpForwarder::Connect(UdpFlow& flow) {
  const int family = flow.endpoint.ip.is_v4() ? AF_INET : AF_INET6;
  flow.fd = Fd(socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!flow.fd.valid()) return &kNoDescriptor;
  sockaddr_storage storage;
  const socklen_t length = flow.endpoint.ToSockaddr(&storage);
  if (connect(flow.fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    EndpointFailed(flow);
    return &kUnreachable;
  }
  event_assign(
      &flow.readable, loop_.base(), flow.fd.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* ready) {
        auto& self = *static_cast<UdpFlow*>(ready);
        self.owner->OnAnswers(self);
      },
      &flow);
  return event_add(&flow.readable, nullptr) == 0 ? nullptr : &kNoDescriptor;
}

void UdpForwarder::OnRefused(UdpFlow& flow) {
  counters_->refused.Add();
  Reject(flow.key);
  if (flow.used == nullptr) return;
  EndpointFailed(flow);
  flow.refused = true;
}

void UdpForwarder::EndpointFailed(UdpFlow& flow) {
  if (flow.used == nullptr) return;
  flow.used->counted.counters->connect_failed.Add();
  parts_.balancer.Failed(*std::exchange(flow.used, nullptr), now_);
}

void UdpForwarder::OnAnswering(UdpFlow& flow) {
  if (std::exchange(flow.answering, true) || flow.used == nullptr) return;
  parts_.balancer.Succeeded(*flow.used);
}

void UdpForwarder::End(UdpFlow& flow, const Ending& how) {
  CountEnded(flow, how);
  Discard(flow);
}

void UdpForwarder::Discard(UdpFlow& flow) {
  if (event_initialized(&flow.readable) != 0) event_del(&flow.readable);
  if (flow.used != nullptr) parts_.balancer.Release(*flow.used);
  if (flow.target != nullptr) flow.target->Leave();
  EndPass(flow.pass);
  flows_.Remove(flow);
}

void UdpForwarder::Reject(const UdpFlowKey& key) {
  sockaddr_storage client;
  // A raw socket takes a port for a protocol, ipv6(7).
  const socklen_t length = SocketAddress{key.client.ip, 0}.ToSockaddr(&client);
  const PortUnreachable packet(key.client, key.dialled);
  const ssize_t sent =
      sendto(RawFor(key.dialled).get(), packet.bytes().data(), packet.bytes().size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&client), length);
  if (sent > 0) counters_->rejected.Add();
}

void UdpForwarder::OnAnswers(UdpFlow& flow) {
  now_ = Monotonic();
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const int error = batch_->Receive(flow.fd.get());
    if (IsIcmpError(error)) return OnRefused(flow);
    if (error != 0) return;
    OnAnswering(flow);
    flows_.SetAnswered(flow, now_);
    for (size_t begin = 0; begin < batch_->size();) begin = Answer(flow, begin);
    if (batch_->size() < DatagramBatch::kMost) return;
  }
}

// Sends those from `begin` on to the client; the first one that is not dealt with.
size_t UdpForwarder::Answer(UdpFlow& flow, size_t begin) {
  const SocketAddress& from = flow.key.dialled;
  const auto drop = [&](Counter& why, size_t count) {
    why.Add(count);
    return begin + count;
  };
  if (batch_->truncated(begin)) return drop(counters_->answer_truncated, 1);
  size_t end = begin + 1;
  while (end < batch_->size() && !batch_->truncated(end)) ++end;
  const DatagramBatch::Sent sent =
      batch_->SendRaw(RawFor(from).get(), from, flow.key.client, begin, end);
  counters_->answered.Add(sent.count);
  CountDown(flow, batch_->Bytes(begin, begin + sent.count));
  begin += sent.count;
  if (IsBufferFull(sent.error)) return drop(counters_->answer_buffer_full, end - begin);
  if (sent.error == EMSGSIZE) return drop(counters_->answer_too_large, 1);
  if (sent.error != 0) return drop(counters_->answer_failed, 1);
  return begin;
}

void UdpForwarder::Sweep() {
  now_ = Monotonic();
  const auto end_idle = [&](bool answered, absl::Duration timeout) {
    while (UdpFlow* flow = flows_.Oldest(answered)) {
      if (now_ - flow->last_active < timeout) return;
      End(*flow, kIdle);
    }
  };
  end_idle(false, options_.timeout);
  end_idle(true, options_.stream_timeout);
  if (flows_.size() > 0) sweep_.Start(kSweepEvery);
}

}  // namespace portolan::proxy
