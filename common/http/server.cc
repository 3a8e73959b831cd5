#include "common/http/server.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/http/http1.h"
#include "common/http/http2.h"
#include "common/http/target.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/socket_option.h"
#include "common/status.h"
#include "common/text.h"

namespace portolan::http {
namespace {

constexpr int kBacklog = 128;
// How long a listener rests when the process has no descriptor left.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// Failed handshakes beyond one in this time are only counted.
constexpr absl::Duration kComplainEvery = absl::Seconds(10);

// Answers with more fields than the handler gives.
class WithFields : public Responder::Carrier {
 public:
  WithFields(Responder to, const std::vector<Header>& fields)
      : to_(std::move(to)), fields_(fields) {}

  void Send(const Response& response) override { to_.Send(Completed(response)); }
  Stream Begin(const Response& head, std::function<void()> on_gone) override {
    return to_.Begin(Completed(head), std::move(on_gone));
  }

 private:
  Response Completed(Response response) const {
    const size_t given = response.headers.size();
    for (const Header& field : fields_) {
      const auto same = std::find_if(
          response.headers.begin(), response.headers.begin() + static_cast<ptrdiff_t>(given),
          [&](const Header& header) { return Lower(header.name) == Lower(field.name); });
      if (same == response.headers.begin() + static_cast<ptrdiff_t>(given)) {
        response.headers.push_back(field);
      }
    }
    return response;
  }

  Responder to_;
  const std::vector<Header> fields_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Listen(EventLoop& loop, Options options) {
  std::unique_ptr<Server> server(new Server(loop, std::move(options)));
  if (const auto& identity = server->options_.tls) {
    if (absl::Status status = server->SetIdentity(*identity); !status.ok()) return status;
  }
  for (const SocketAddress& address : server->options_.listen) {
    if (absl::Status status = server->Open(address); !status.ok()) return status;
  }
  return server;
}

Server::Server(EventLoop& loop, Options options) : loop_(loop), options_(std::move(options)) {
  bury_ = loop_.AddTimer([this] {
    closed_.clear();
    for (const auto& weak : std::exchange(gone_, {})) {
      const auto on_gone = weak.lock();
      if (on_gone != nullptr && *on_gone != nullptr) (*on_gone)();
    }
    if (!connections_.empty() || on_gone_ == nullptr) return;
    leave_.Cancel();
    std::exchange(on_gone_, nullptr)();
  });
  accept_again_ = loop_.AddTimer([this] {
    for (Listener& listener : listeners_) listener.watch.Enable();
  });
}

Server::~Server() = default;

absl::Status Server::Open(const SocketAddress& address) {
  const std::string what = fmt::format("listen on {} ({})", address.ToString(), options_.name);
  sockaddr_storage storage;
  const socklen_t length = address.ToSockaddr(&storage);
  Fd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, what);
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (address.ip.is_v6()) SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return ErrnoError(errno, what);
  }
  socklen_t bound_length = sizeof storage;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &bound_length) != 0) {
    return ErrnoError(errno, what);
  }
  auto bound = SocketAddress::From(reinterpret_cast<sockaddr*>(&storage), bound_length);
  if (!bound.ok()) return bound.status();
  addresses_.push_back(*bound);
  const int raw = fd.get();
  Listener listener{std::move(fd), {}};
  listener.watch = loop_.AddWatch(raw, EventLoop::Interest::kRead, [this, raw] { Accept(raw); });
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

absl::Status Server::SetIdentity(const TlsIdentity& identity) {
  auto context = MakeTlsContext(identity);
  if (!context.ok()) return context.status();
  tls_ = *std::move(context);
  return absl::OkStatus();
}

void Server::StopListening() {
  accept_again_.Cancel();
  listeners_.clear();
}

std::vector<std::shared_ptr<Connection>> Server::Connections() const {
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [raw, connection] : connections_) all.push_back(connection);
  return all;
}

void Server::Drain(absl::Duration grace, std::function<void()> on_gone) {
  draining_ = true;
  // They may close, and leave connections_, meanwhile.
  for (const auto& connection : Connections()) connection->Drain();
  leave_ = loop_.AddTimer([this, on_gone = std::move(on_gone)] {
    if (on_gone_ == nullptr) {
      on_gone_ = on_gone;
      EndGrace();
    } else {
      for (const auto& connection : Connections()) connection->Close();
    }
  });
  leave_.Start(grace);
}

void Server::EndGrace() {
  StopListening();
  for (const auto& connection : Connections()) connection->Finish();
  leave_.Start(options_.timeouts.answer);
  bury_.Start(absl::ZeroDuration());
}

void Server::Accept(int listener) {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  Fd fd(accept4(listener, reinterpret_cast<sockaddr*>(&storage), &length,
                SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
    log::warn("{}: no more connections for now: {}", options_.name,
              ErrnoError(errno, "accept").ToString());
    for (Listener& each : listeners_) each.watch.Disable();
    accept_again_.Start(kAcceptPause);
    return;
  }
  if (connections_.size() >= options_.max_connections && !Evict()) {
    counters_.refused.Add();
    return;
  }
  counters_.accepted.Add();
  SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  // A peer that vanished is noticed even if what is sent to it fits into the kernel's buffers.
  const auto patience =
      static_cast<int>(absl::ToInt64Milliseconds(std::min(options_.timeouts.idle, absl::Hours(1))));
  SetOption(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, patience);
  Connection::Owner& owner = *this;
  const auto peer = SocketAddress::From(reinterpret_cast<sockaddr*>(&storage), length);
  auto connection = std::make_shared<Connection>(
      loop_, owner, options_.timeouts, std::move(fd), peer.value_or(SocketAddress{}),
      tls_ == nullptr ? nullptr : std::make_unique<TlsStream>(tls_.get()));
  connections_.emplace(connection.get(), connection);
  connection->Start();
}

std::unique_ptr<Session> Server::MakeSession(Protocol protocol, RequestSink& sink) {
  std::unique_ptr<Session> session;
  if (protocol == Protocol::kHttp2) {
    session = std::make_unique<Http2Session>(options_.limits, sink);
  } else {
    session = std::make_unique<Http1Session>(options_.limits, sink);
  }
  if (draining_) session->Drain();
  return session;
}

Connection* Server::LongestSilent(bool (Connection::*of_these)() const) const {
  Connection* oldest = nullptr;
  for (const auto& [raw, connection] : connections_) {
    if (!(raw->*of_these)()) continue;
    if (oldest == nullptr || raw->last_active() < oldest->last_active()) oldest = raw;
  }
  return oldest;
}

bool Server::Evict() {
  Connection* oldest = LongestSilent(&Connection::idle);
  if (oldest == nullptr) oldest = LongestSilent(&Connection::streaming);
  if (oldest == nullptr) return false;
  counters_.evicted.Add();
  oldest->Close();
  return true;
}

void Server::OnClosed(Connection& connection) {
  auto it = connections_.find(&connection);
  closed_.push_back(std::move(it->second));
  connections_.erase(it);
  bury_.Start(absl::ZeroDuration());
}

void Server::OnStreamGone(std::weak_ptr<const std::function<void()>> on_gone) {
  gone_.push_back(std::move(on_gone));
  bury_.Start(absl::ZeroDuration());
}

void Server::OnTimeout(Connection::Timeout timeout) {
  counters_.timeouts[static_cast<size_t>(timeout)].Add();
}

void Server::OnHandshake(const SocketAddress& peer, Connection::Handshake result,
                         std::string_view why) {
  counters_.handshakes[static_cast<size_t>(result)].Add();
  if (result != Connection::Handshake::kFailed) return;
  if (Monotonic() < next_complaint_) return;
  next_complaint_ = Monotonic() + kComplainEvery;
  log::warn("{}: TLS handshake with {} failed: {}", options_.name, peer.ToString(), why);
}

void Server::OnTally(const Session::Tally& tally) {
  counters_.malformed.Add(tally.malformed);
  counters_.reset.Add(tally.reset);
  counters_.refused_streams.Add(tally.refused);
  counters_.floods.Add(tally.floods);
}

void Server::Route(std::string method, std::string path, Handler handler) {
  const bool is_prefix = path.ends_with("/*");
  if (is_prefix) path.pop_back();
  routes_.push_back({std::move(method), std::move(path), is_prefix, std::move(handler)});
}

// Those whose path is the request's.
std::vector<const Server::RouteEntry*> Server::RoutesOf(const Request& request) const {
  std::vector<const RouteEntry*> matching =
      other_ == nullptr ? std::vector<const RouteEntry*>() : other_->RoutesOf(request);
  for (const RouteEntry& route : routes_) {
    const bool matches =
        route.is_prefix ? request.path.starts_with(route.path) : request.path == route.path;
    if (matches) matching.push_back(&route);
  }
  return matching;
}

const Server::RouteEntry* Server::FindRoute(const Request& request, std::string* allowed) const {
  const std::vector<const RouteEntry*> matching = RoutesOf(request);
  // The most specific path first, then the method: a path's methods do not mix with its parent's.
  const RouteEntry* best = nullptr;
  for (const RouteEntry* route : matching) {
    if (best == nullptr || (!route->is_prefix && best->is_prefix) ||
        (route->is_prefix == best->is_prefix && route->path.size() > best->path.size())) {
      best = route;
    }
  }
  if (best == nullptr) return nullptr;
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  for (const RouteEntry* route : matching) {
    if (route->path != best->path || route->is_prefix != best->is_prefix) continue;
    if (route->method == method) return route;
    if (!allowed->empty()) allowed->append(", ");
    allowed->append(route->method == "GET" ? "GET, HEAD" : route->method);
  }
  return nullptr;
}

bool Server::Believes(const Request& request) const {
  if (options_.audience == Audience::kAnyone) return true;
  if (!request.host.empty() && !IsLiteralOrLocalhost(request.host)) return false;
  const auto origin = request.FindHeader("origin");
  return !origin || *origin == "http://" + request.host || *origin == "https://" + request.host;
}

void Server::OnRequest(Request request, Responder responder) {
  counters_.requests.Add();
  if (!options_.fields.empty()) {
    responder = Responder(std::make_unique<WithFields>(std::move(responder), options_.fields));
  }
  if (!Believes(request)) {
    counters_.foreign.Add();
    responder.Send(TextResponse(
        403, "only requests to this machine's own address or localhost are answered here"));
    return;
  }
  if (options_.admit == nullptr) return Handle(request, std::move(responder));
  const auto kept = std::make_shared<const Request>(std::move(request));
  options_.admit(*kept, [weak = std::weak_ptr(self_), kept,
                         responder](const std::optional<Response>& refusal) mutable {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (refusal) return responder.Send(*refusal);
    (*self)->Handle(*kept, std::move(responder));
  });
}

void Server::Handle(const Request& request, Responder responder) const {
  std::string allowed;
  if (const RouteEntry* route = FindRoute(request, &allowed)) {
    route->handler(request, std::move(responder));
    return;
  }
  if (allowed.empty()) {
    responder.Send(TextResponse(404, "no such page"));
    return;
  }
  Response response = TextResponse(405, "this page takes " + allowed);
  response.headers.push_back({"Allow", allowed});
  responder.Send(response);
}

void Server::AddMetrics(MetricFamilies& families) const {
  const std::string_view name = options_.name;
  AddCounterSample(families, "portolan_http_requests_total", "Requests handed to a handler.",
                   {{"server", name}}, static_cast<double>(counters_.requests.value()));
  const auto connections = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, "portolan_http_connections_total",
                     "Connections, by what became of them at the listener.",
                     {{"server", name}, {"outcome", outcome}},
                     static_cast<double>(counter.value()));
  };
  connections("accepted", counters_.accepted);
  connections("refused", counters_.refused);
  connections("evicted", counters_.evicted);
  const auto rejected = [&](std::string_view reason, const Counter& counter) {
    AddCounterSample(families, "portolan_http_rejected_total",
                     "Requests or connections ended by the server, by reason.",
                     {{"server", name}, {"reason", reason}}, static_cast<double>(counter.value()));
  };
  rejected("malformed", counters_.malformed);
  rejected("foreign", counters_.foreign);
  rejected("reset", counters_.reset);
  rejected("stream_limit", counters_.refused_streams);
  rejected("flood", counters_.floods);
  constexpr std::string_view kTimeouts[] = {"idle_timeout", "read_timeout", "answer_timeout",
                                            "write_timeout", "handshake_timeout"};
  for (size_t i = 0; i < std::size(kTimeouts); ++i) rejected(kTimeouts[i], counters_.timeouts[i]);
  if (!options_.tls) return;
  constexpr std::string_view kHandshakes[] = {"http/1.1", "h2", "failed", "gone"};
  for (size_t i = 0; i < std::size(kHandshakes); ++i) {
    AddCounterSample(families, "portolan_http_handshakes_total",
                     "TLS handshakes, by the protocol that was agreed on or how they failed.",
                     {{"server", name}, {"result", kHandshakes[i]}},
                     static_cast<double>(counters_.handshakes[i].value()));
  }
}

}  // namespace portolan::http
