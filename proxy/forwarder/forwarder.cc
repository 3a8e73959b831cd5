#include "proxy/forwarder/forwarder.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/socket_option.h"
#include "common/status.h"

namespace portolan::proxy {
namespace {

// Connections taken from one listener before other events have their turn.
constexpr int kAcceptsPerTurn = 64;
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// What became of the endpoints in use is looked at once for the changes of so long.
constexpr absl::Duration kReviewAfter = absl::Seconds(1);
// Pipes that nobody wanted for so long are closed.
constexpr absl::Duration kPipesTrimmedAfter = absl::Seconds(5);
constexpr auto kPauseLoggedEvery = std::chrono::minutes(1);

// A client's own keep-alive ends here: the kernel answers for the forwarder. So the leg to the
// endpoint has one of its own, which finds a dead peer within two minutes.
constexpr int kKeepAliveIdleSeconds = 60;
constexpr int kKeepAliveIntervalSeconds = 15;
constexpr int kKeepAliveProbes = 4;

void SetKeepAlive(int fd) {
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

// Closing then sends a RST instead of a FIN, socket(7).
void Reset(Fd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  if (fd.valid()) setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.Reset();
}

int SocketError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

// Null, and the target of the Route, if there is one, counts a connection; or why it is refused.
ConnectionEvent Enter(const RouteTable::Lookup& found) {
  using Match = RouteTable::Match;
  switch (found.match) {
    case Match::kNoSuchPort:
      return &ConnectionCounters::no_port;
    case Match::kNoEndpoints:
      return &ConnectionCounters::no_endpoints;
    case Match::kNoLocalEndpoints:
      return &ConnectionCounters::no_local_endpoints;
    case Match::kEndpoints:
      break;
    case Match::kNotAService:
    case Match::kEndpointsUnknown:
      return nullptr;
  }
  const Route& route = **found.route;
  return route.target->Enter(route.policy.max_connections) ? nullptr
                                                           : &ConnectionCounters::over_limit;
}

void SetRoute(Connection& c, const RouteTable::Lookup& found) {
  if (found.route == nullptr) return;
  c.route = *found.route;
  c.target = c.route->target;
}

uint8_t ReadinessOf(uint32_t events) {
  uint8_t what = 0;
  if ((events & EPOLLIN) != 0) what |= Relay::kRead;
  if ((events & EPOLLOUT) != 0) what |= Relay::kWrite;
  if ((events & EPOLLPRI) != 0) what |= Relay::kUrgent;
  if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) what |= Relay::kEnd;
  if ((events & EPOLLERR) != 0) what |= Relay::kError;
  return what;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Forwarder>> Forwarder::Start(EventLoop& loop,
                                                            ForwarderOptions options) {
  if (options.max_attempts < 1 || options.max_attempts > Connection::kMaxAttempts) {
    return InvalidArgument("forwarder: {} attempts to connect; 1 to {} are possible",
                           options.max_attempts, Connection::kMaxAttempts);
  }
  auto forwarder = std::unique_ptr<Forwarder>(new Forwarder(loop, std::move(options)));
  auto events = SocketEvents::Open(loop, [self = forwarder.get()](void* leg, uint32_t what) {
    self->OnEvents(*static_cast<const Connection::Leg*>(leg), what);
  });
  if (!events.ok()) return events.status();
  forwarder->events_ = *std::move(events);
  const auto kind =
      forwarder->sources_.has_value() ? Listener::Kind::kTransparent : Listener::Kind::kPlain;
  for (const SocketAddress& address : forwarder->options_.listen) {
    auto listener = Listener::Open(loop, address, kind, [self = forwarder.get()](Listener& ready) {
      self->AcceptFrom(ready);
    });
    if (!listener.ok()) return listener.status();
    forwarder->listeners_.push_back(*std::move(listener));
  }
  return forwarder;
}

Forwarder::Forwarder(EventLoop& loop, ForwarderOptions options)
    : loop_(loop),
      options_(std::move(options)),
      counters_(std::make_shared<ForwarderCounters>()),
      workspace_(new RelayWorkspace{.scratch = {},
                                    .buffers = BufferPool(options_.max_buffers),
                                    .pipes = PipePool(options_.max_pipes, *counters_),
                                    .counters = *counters_}),
      routes_(std::make_shared<const RouteTable>()),
      tally_(options_.balancer.metrics),
      balancer_(options_.balancer, *counters_, std::random_device{}()),
      review_(loop.AddTimer([this] {
        review_due_ = false;
        balancer_.Review(routes_->snapshot());
        tally_.Review(routes_->snapshot());
      })),
      name_ended_(loop.AddTimer([this] { NameEnded(); })),
      next_turn_(loop.AddTimer([this] { RunQueued(); })),
      trim_(loop.AddTimer([this] {
        trim_due_ = false;
        workspace_->pipes.Trim();
        TrimPipesLater();
      })),
      resume_(loop.AddTimer([this] { ResumeAccepting(); })) {
  if (options_.access_log != nullptr) access_log_.emplace(*options_.access_log, *counters_);
  if (is_inbound()) {
    sources_.emplace(counters_->source_ports_out);
  }
  const auto common = [&](absl::Duration length) {
    const timeval tv = absl::ToTimeval(length);
    return event_base_init_common_timeout(loop.base(), &tv);
  };
  connect_timeout_ = common(options_.connect_timeout);
  keep_alive_after_ = common(options_.keep_alive_after);
  idle_timeout_ = common(options_.idle_timeout);
  endpoints_timeout_ = common(options_.endpoints_timeout);
  greeting_timeout_ = common(options_.greeting_timeout);
  awaiting_.reserve(kMostAwaiting);
}

Forwarder::~Forwarder() {
  listeners_.clear();
  connections_.ForEach([this](Connection& c) {
    if (c.state == Connection::State::kConnecting)
      Finish(c, &ConnectionCounters::stopped, Ending::kReset);
    if (c.state == Connection::State::kJoined) Finish(c, &ConnectionCounters::cut, Ending::kReset);
  });
  for (Connection* c : unnamed_) CountEnded(*c);
}

void Forwarder::SetRoutes(std::shared_ptr<const RouteTable> routes) {
  routes_ = std::move(routes);
  NameEnded();
  ReviewAwaiting();
  if (!std::exchange(review_due_, true)) review_.Start(kReviewAfter);
}

std::vector<SocketAddress> Forwarder::addresses() const {
  std::vector<SocketAddress> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

void Forwarder::AcceptFrom(Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (active() >= options_.max_connections) {
      return PauseAccepting(counters_->paused_on_limit, "the limit of connections is reached");
    }
    Fd client;
    SocketAddress address;
    switch (listener.Accept(client, address)) {
      case Listener::Outcome::kAccepted:
        Admit(std::move(client), address);
        break;
      case Listener::Outcome::kAborted:
        break;
      case Listener::Outcome::kNoneWaiting:
        return;
      case Listener::Outcome::kNoDescriptor:
        return PauseAccepting(counters_->paused_on_descriptors, "no descriptors are left");
    }
  }
}

void Forwarder::PauseAccepting(Counter& why, const char* what) {
  why.Add();
  paused_ = true;
  for (const auto& listener : listeners_) listener->Pause();
  resume_.Start(kAcceptPause);
  const auto now = std::chrono::steady_clock::now();
  if (pause_logged_ != std::chrono::steady_clock::time_point() &&
      now - pause_logged_ < kPauseLoggedEvery) {
    return;
  }
  pause_logged_ = now;
  log::warn("forwarder: accepting pauses for {} ms, {}: {} connections are open",
            absl::ToInt64Milliseconds(kAcceptPause), what, active());
}

void Forwarder::ResumeAccepting() {
  paused_ = false;
  for (const auto& listener : listeners_) listener->Resume();
}

void Forwarder::Admit(Fd client, const SocketAddress& client_address) {
  counters_->accepted.Add();
  Refused refused{client_address,
                  options_.original_destination(client.get(), client_address.ip.family())};
  if (!refused.dialled.has_value()) {
    return Refuse(client, &ConnectionCounters::no_destination, refused);
  }
  const SocketAddress& dialled = *refused.dialled;
  if (IsOwnListener(dialled, client.get())) {
    return Refuse(client, &ConnectionCounters::loop_refused, refused);
  }
  const RouteTable::Lookup found = routes_->Find(dialled, Protocol::kTcp);
  refused.service = ServiceOf(found, dialled);
  if (const ConnectionEvent why = Enter(found)) return Refuse(client, why, refused);
  Connection& c = connections_.Take();
  c.client_address = client_address;
  c.dialled = dialled;
  c.service = refused.service;
  SetRoute(c, found);
  if (!Open(c, std::move(client))) return;
  if (found.match == RouteTable::Match::kEndpointsUnknown) return AwaitEndpoints(c, *found.service);
  SetOut(c);
}

// What is open already, once its endpoints are held.
void Forwarder::Proceed(Connection& c, const RouteTable::Lookup& found) {
  if (const ConnectionEvent why = Enter(found)) return Finish(c, why, Ending::kReset);
  SetRoute(c, found);
  SetOut(c);
}

void Forwarder::Refuse(Fd& client, ConnectionEvent why, const Refused& refused) {
  CountRefused(why, refused);  // first: whoever sees the reset finds it counted
  Reset(client);
}

bool Forwarder::IsOwnListener(const SocketAddress& dialled, int fd) const {
  for (const auto& listener : listeners_) {
    const SocketAddress& own = listener->address();
    if (dialled.port != own.port) continue;
    if (dialled.ip == own.ip || dialled.ip.is_loopback() || dialled.ip.is_unspecified())
      return true;
    if (!own.ip.is_unspecified()) continue;
    sockaddr_storage local;
    socklen_t length = sizeof local;
    auto* generic = reinterpret_cast<sockaddr*>(&local);
    if (getsockname(fd, generic, &length) != 0) continue;
    const auto address = SocketAddress::From(generic, length);
    if (address.ok() && *address == dialled) return true;
  }
  return false;
}

bool Forwarder::Open(Connection& c, Fd client) {
  Count(c, &ConnectionCounters::opened);
  c.owner = this;
  c.state = Connection::State::kConnecting;
  c.accepted_at = std::chrono::steady_clock::now();
  c.client = std::move(client);
  c.client_leg = {&c, Relay::Side::kClient};
  c.endpoint_leg = {&c, Relay::Side::kEndpoint};
  evtimer_assign(
      &c.timer, loop_.base(),
      [](evutil_socket_t, short, void* connection) {
        auto& self = *static_cast<Connection*>(connection);
        self.owner->OnTimer(self);
      },
      &c);
  if (events_->Add(c.client.get(), &c.client_leg)) return true;
  Finish(c, &ConnectionCounters::no_descriptor, Ending::kReset);
  return false;
}

void Forwarder::PassThrough(Connection& c) {
  if (c.service == nullptr) Identify(c);
  if (!MayReach(c, c.dialled)) return Deny(c, &ConnectionCounters::denied);
  if (c.pass.unheld) counters_->endpoints_unknown.Add();
  Took(c, nullptr);
  DialThrough(c);
}

// Inbound, nothing answers where the client itself uses the port that was chosen (transparent.h),
// so others are tried. The last attempt has the kernel's own time, as without a sidecar: more
// likely the application does not keep up with accepting.
void Forwarder::DialThrough(Connection& c) {
  if (c.attempts > 0) Count(c, &ConnectionCounters::retried);
  c.tried[c.attempts++] = c.dialled;
  switch (Dial(c, c.dialled, MayTakeAnotherPort(c) ? connect_timeout_ : nullptr)) {
    case Dialling::kPending:
      return;
    case Dialling::kFailed:
      return Finish(c, &ConnectionCounters::connect_failed, Ending::kReset);
    case Dialling::kNoDescriptor:
      return Finish(c, &ConnectionCounters::no_descriptor, Ending::kReset);
  }
}

void Forwarder::ConnectToEndpoint(Connection& c, ConnectionEvent last_failure) {
  while (c.attempts < options_.max_attempts) {
    c.used = balancer_.Take(*c.route, c.Tried(), Monotonic(),
                            [&](const SocketAddress& to) { return MayReach(c, to); });
    if (c.used == nullptr) break;
    if (c.attempts > 0) Count(c, &ConnectionCounters::retried);
    Took(c, &c.used->address);
    c.tried[c.attempts++] = c.used->address;
    switch (Dial(c, c.used->address, connect_timeout_)) {
      case Dialling::kPending:
        return;
      case Dialling::kFailed:
        last_failure = &ConnectionCounters::connect_failed;
        EndpointFailed(c, last_failure);
        break;
      case Dialling::kNoDescriptor:
        return Finish(c, &ConnectionCounters::no_descriptor, Ending::kReset);
    }
  }
  // A route that was chosen has an endpoint: one was tried and failed, or none is allowed, be it by
  // rules that came while it was tried.
  if (last_failure == nullptr) return Deny(c, &ConnectionCounters::denied);
  Finish(c, last_failure, Ending::kReset);
}

void Forwarder::EndpointFailed(Connection& c, ConnectionEvent why) {
  CountFailure(c, why);
  balancer_.Failed(*std::exchange(c.used, nullptr), Monotonic());
}

Forwarder::Dialling Forwarder::Dial(Connection& c, const SocketAddress& to,
                                    const timeval* timeout) {
  Fd fd;
  if (const int error = Connect(c, to, fd); error != 0 && error != EINPROGRESS) {
    // A host without IPv6 has no such sockets at all.
    return fd.valid() || error == EAFNOSUPPORT ? Dialling::kFailed : Dialling::kNoDescriptor;
  }
  if (!events_->Add(fd.get(), &c.endpoint_leg)) return Dialling::kNoDescriptor;
  if (timeout != nullptr) event_add(&c.timer, timeout);
  c.endpoint = std::move(fd);
  return Dialling::kPending;
}

// As ClientSources::Connect has it.
int Forwarder::Connect(const Connection& c, const SocketAddress& to, Fd& fd) {
  if (sources_.has_value()) return sources_->Connect(c.client_address.ip, to, fd);
  const int family = to.ip.is_v4() ? AF_INET : AF_INET6;
  fd = Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  sockaddr_storage storage;
  const socklen_t length = to.ToSockaddr(&storage);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

void Forwarder::DropEndpoint(Connection& c) {
  event_del(&c.timer);
  c.endpoint.Reset();
}

void Forwarder::OnEvents(const Connection::Leg& leg, uint32_t events) {
  if (leg.connection == nullptr) return;  // it ended by an event that was fetched with this one
  if (leg.side == Relay::Side::kClient) return OnClient(*leg.connection, events);
  OnEndpoint(*leg.connection, events);
}

void Forwarder::OnClient(Connection& c, uint32_t events) {
  if (c.state == Connection::State::kFinished) return;
  // What it has to say waits until there is someone to say it to; but it may have given up.
  if (c.state == Connection::State::kConnecting && (events & EPOLLERR) != 0) {
    return Finish(c, &ConnectionCounters::client_gone, Ending::kReset);
  }
  c.relay.OnReady(Relay::Side::kClient, ReadinessOf(events));
  if (c.state == Connection::State::kJoined && MayRun(c)) Run(c);
}

void Forwarder::OnEndpoint(Connection& c, uint32_t events) {
  if (c.state == Connection::State::kFinished) return;
  if (c.state == Connection::State::kConnecting) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      const int error = SocketError(c.endpoint.get());
      return ConnectFailed(c, error);
    }
  }
  c.relay.OnReady(Relay::Side::kEndpoint, ReadinessOf(events));
  c.state == Connection::State::kJoined ? Run(c) : Join(c);
}

void Forwarder::OnTimer(Connection& c) {
  if (c.awaits_endpoints) {
    EndAwaiting(c, counters_->wait_timed_out);
    return PassThroughUnheld(c);
  }
  if (c.state == Connection::State::kConnecting) return ConnectFailed(c, ETIMEDOUT);
  if (c.greeting == Connection::Greeting::kBegun) return OnGreetingTimeout(c);
  OnJoinedForLong(c);
}

void Forwarder::OnJoinedForLong(Connection& c) {
  const uint64_t bytes = c.relay.bytes_up() + c.relay.bytes_down();
  const uint64_t before = std::exchange(c.bytes_at_timer, bytes);
  if (!std::exchange(c.kept_alive, true)) {
    SetKeepAlive(c.endpoint.get());
  } else if (bytes == before) {
    return Finish(c, &ConnectionCounters::idle, Ending::kReset);
  }
  WaitForIdleness(c);
}

// By the timer that keep-alive begins by, then by that of idleness.
void Forwarder::WaitForIdleness(Connection& c) {
  if (!c.kept_alive) {
    event_add(&c.timer, keep_alive_after_);
  } else if (options_.idle_timeout > absl::ZeroDuration()) {
    event_add(&c.timer, idle_timeout_);
  } else {
    event_del(&c.timer);
  }
}

void Forwarder::ConnectFailed(Connection& c, int error) {
  const ConnectionEvent failure = error == ETIMEDOUT ? &ConnectionCounters::connect_timeout
                                                     : &ConnectionCounters::connect_failed;
  DropEndpoint(c);
  if (c.route == nullptr) {
    if (error == ETIMEDOUT && MayTakeAnotherPort(c)) return DialThrough(c);
    return Finish(c, failure, Ending::kReset);
  }
  EndpointFailed(c, failure);
  ConnectToEndpoint(c, failure);
}

void Forwarder::Join(Connection& c) {
  WaitForIdleness(c);
  CountJoined(c);
  if (c.used != nullptr) balancer_.Succeeded(*c.used);
  c.route.reset();
  c.state = Connection::State::kJoined;
  c.relay.Start(c.client.get(), c.endpoint.get());
  AwaitGreeting(c);
  if (MayRun(c)) Run(c);
}

void Forwarder::Run(Connection& c) {
  const Relay::Progress progress = c.relay.Run(*workspace_);
  CountBytes(c);
  TrimPipesLater();
  switch (progress) {
    case Relay::Progress::kWaiting:
      return;
    case Relay::Progress::kMore:
      if (std::exchange(c.queued, true)) return;
      if (queue_.empty()) next_turn_.Start(absl::ZeroDuration());
      queue_.push_back(&c);
      return;
    case Relay::Progress::kClosed:
      return Finish(c, &ConnectionCounters::closed, Ending::kClose);
    case Relay::Progress::kResetByClient:
      return Finish(c, &ConnectionCounters::reset_by_client, Ending::kReset);
    case Relay::Progress::kResetByEndpoint:
      return Finish(c, &ConnectionCounters::reset_by_endpoint, Ending::kReset);
    case Relay::Progress::kTimedOut:
      return Finish(c, &ConnectionCounters::timed_out, Ending::kReset);
  }
}

void Forwarder::TrimPipesLater() {
  if (workspace_->pipes.open() == 0 || std::exchange(trim_due_, true)) return;
  trim_.Start(kPipesTrimmedAfter);
}

void Forwarder::RunQueued() {
  running_.swap(queue_);
  for (Connection* c : running_) {
    c->queued = false;
    if (c->state == Connection::State::kJoined) {
      Run(*c);
    } else if (!c->unnamed) {
      connections_.Release(*c);
    }
  }
  running_.clear();
}

void Forwarder::Finish(Connection& c, ConnectionEvent how, Ending ending) {
  (counters_.get()->*how).Add();
  counters_->finished.Add();
  if (c.awaits_endpoints) EndAwaiting(c, counters_->wait_ended);
  if (c.greeting != Connection::Greeting::kSettled) EndGreeting(c);
  c.ended = how;
  c.ended_at = std::chrono::steady_clock::now();
  if (c.service == nullptr) Identify(c);
  c.unnamed =
      c.service == nullptr && options_.want_address != nullptr && unnamed_.size() < kMostUnnamed;
  if (!c.unnamed) CountEnded(c);
  c.relay.Release(*workspace_);
  event_del(&c.timer);
  if (ending == Ending::kReset) {
    Reset(c.client);
    Reset(c.endpoint);
  }
  c.client.Reset();
  c.endpoint.Reset();
  c.route.reset();
  if (c.used != nullptr) balancer_.Release(*std::exchange(c.used, nullptr));
  if (c.target != nullptr) c.target->Leave();
  c.target.reset();
  if (options_.gate != nullptr) options_.gate->End(c.pass, Monotonic());
  c.state = Connection::State::kFinished;
  if (c.unnamed) {
    if (unnamed_.empty()) name_ended_.Start(kNamedWithin);
    unnamed_.push_back(&c);
  } else if (!c.queued) {
    connections_.Release(c);
  }
}

}  // namespace portolan::proxy
