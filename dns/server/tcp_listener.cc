#include "dns/server/tcp_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/socket_option.h"
#include "common/status.h"
#include "dns/wire/bytes.h"

namespace portolan::dns {
namespace {

constexpr size_t kLengthBytes = 2;
// A query with every EDNS option in use stays far below this.
constexpr size_t kMaxQueryBytes = 4096;
constexpr size_t kReadBytes = kLengthBytes + kMaxQueryBytes;
// What a client may leave unread before it is cut off: two of the longest replies.
constexpr size_t kMaxUnsent = 2 * (kLengthBytes + wire::kMaxMessageBytes);
constexpr int kAcceptsPerTurn = 16;
constexpr int kBacklog = 128;

}  // namespace

struct TcpListener::Connection {
  uint64_t id = 0;
  Fd fd;
  SocketAddress client;
  EventLoop::Watch readable, writable;
  std::array<uint8_t, kReadBytes> read;
  size_t read_bytes = 0;
  std::vector<uint8_t> unsent;
  size_t in_flight = 0;
  // A zone transfer: the queries behind it wait for its end.
  std::shared_ptr<ReplyStream> stream;
  uint64_t last_active = 0;
  bool peer_done = false;  // it sends no more, but may still read
  bool closed = false;
};

absl::StatusOr<std::unique_ptr<TcpListener>> TcpListener::Listen(EventLoop& loop,
                                                                 const SocketAddress& address,
                                                                 const Limits& limits,
                                                                 QueryHandler& handler) {
  const std::string what = "DNS over TCP on " + address.ToString();
  const bool v6 = address.ip.is_v6();
  Fd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage name;
  socklen_t length = address.ToSockaddr(&name);
  if (!fd.valid() || !SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR) ||
      !SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT) ||
      (v6 && !SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) ||
      bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return ErrnoError(errno, what);
  }
  length = sizeof name;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) {
    return ErrnoError(errno, what);
  }
  auto actual = SocketAddress::From(reinterpret_cast<sockaddr*>(&name), length);
  if (!actual.ok()) return actual.status();
  return std::unique_ptr<TcpListener>(
      new TcpListener(loop, std::move(fd), *actual, limits, handler));
}

TcpListener::TcpListener(EventLoop& loop, Fd fd, const SocketAddress& address, const Limits& limits,
                         QueryHandler& handler)
    : loop_(loop),
      fd_(std::move(fd)),
      address_(address),
      limits_(limits),
      handler_(handler),
      watch_(loop.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnAcceptable(); })),
      second_(loop.AddTimer([this] { OnSecond(); })),
      reply_(std::make_unique_for_overwrite<uint8_t[]>(kLengthBytes + wire::kMaxMessageBytes)) {}

TcpListener::~TcpListener() = default;

void TcpListener::OnAcceptable() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage name;
    socklen_t length = sizeof name;
    Fd fd(accept4(fd_.get(), reinterpret_cast<sockaddr*>(&name), &length,
                  SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      counters_.accept_failed.Add();
      if (errno == ECONNABORTED || errno == EINTR) continue;
      // No descriptors or memory: the socket stays readable, so rest a second instead of spinning.
      watch_.Disable();
      if (!ticking_) second_.Start(absl::Seconds(1));
      ticking_ = true;
      return;
    }
    const auto client = SocketAddress::From(reinterpret_cast<sockaddr*>(&name), length);
    if (!client.ok() || connections_.size() >= limits_.connections) {
      counters_.over_limit.Add();
      continue;
    }
    Add(std::move(fd), *client);
  }
}

void TcpListener::Add(Fd fd, const SocketAddress& client) {
  counters_.accepted.Add();
  SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  auto connection = std::make_unique<Connection>();
  Connection* c = connection.get();
  c->id = next_id_++;
  c->fd = std::move(fd);
  c->client = client;
  c->last_active = seconds_;
  c->readable =
      loop_.AddWatch(c->fd.get(), EventLoop::Interest::kRead, [this, c] { OnReadable(*c); });
  c->writable =
      loop_.AddWatch(c->fd.get(), EventLoop::Interest::kWrite, [this, c] { OnWritable(*c); });
  c->writable.Disable();
  connections_[c->id] = std::move(connection);
  if (!ticking_) second_.Start(absl::Seconds(1));
  ticking_ = true;
}

void TcpListener::OnReadable(Connection& c) {
  const ssize_t n =
      recv(c.fd.get(), c.read.data() + c.read_bytes, c.read.size() - c.read_bytes, MSG_DONTWAIT);
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) Close(c);
    return;
  }
  if (n == 0) {
    c.peer_done = true;
  } else {
    c.read_bytes += static_cast<size_t>(n);
    c.last_active = seconds_;
  }
  Process(c);
}

void TcpListener::OnWritable(Connection& c) {
  const ssize_t n = send(c.fd.get(), c.unsent.data(), c.unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) Close(c);
    return;
  }
  c.unsent.erase(c.unsent.begin(), c.unsent.begin() + n);
  c.last_active = seconds_;
  Process(c);
}

void TcpListener::Process(Connection& c) {
  Pump(c);
  size_t at = 0;
  while (!c.closed && c.unsent.empty() && c.stream == nullptr && c.in_flight < limits_.in_flight &&
         c.read_bytes - at >= kLengthBytes) {
    const size_t bytes = wire::Load16(c.read.data() + at);
    if (bytes > kMaxQueryBytes) {
      counters_.oversized.Add();
      Close(c);
      break;
    }
    if (c.read_bytes - at < kLengthBytes + bytes) break;
    const std::span<const uint8_t> message(c.read.data() + at + kLengthBytes, bytes);
    at += kLengthBytes + bytes;
    // Counted before: the reply may come, by Resume, within the call.
    ++c.in_flight;
    const auto handled =
        handler_.Handle(message, c.client, Transport::kTcp,
                        {reply_.get() + kLengthBytes, wire::kMaxMessageBytes}, {this, {}, c.id});
    if (handled.outcome == QueryHandler::Outcome::kPending) continue;
    if (handled.outcome == QueryHandler::Outcome::kStream) {
      c.stream = handled.stream;
      Pump(c);
      continue;
    }
    --c.in_flight;
    if (handled.outcome == QueryHandler::Outcome::kSilence) continue;
    wire::Store16(reply_.get(), static_cast<uint16_t>(handled.reply_bytes));
    Send(c, {reply_.get(), kLengthBytes + handled.reply_bytes});
  }
  if (c.closed) return;
  std::memmove(c.read.data(), c.read.data() + at, c.read_bytes - at);
  c.read_bytes -= at;
  Settle(c);
}

void TcpListener::Send(Connection& c, std::span<const uint8_t> framed) {
  size_t sent = 0;
  if (c.unsent.empty()) {
    const ssize_t n = send(c.fd.get(), framed.data(), framed.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      Close(c);
      return;
    }
    sent = n < 0 ? 0 : static_cast<size_t>(n);
  }
  if (sent == framed.size()) return;
  if (c.unsent.size() + framed.size() - sent > kMaxUnsent) {
    counters_.slow_reader.Add();
    Close(c);
    return;
  }
  c.unsent.insert(c.unsent.end(), framed.begin() + static_cast<long>(sent), framed.end());
}

void TcpListener::Pump(Connection& c) {
  while (c.stream != nullptr && !c.closed && c.unsent.empty()) {
    const size_t bytes = c.stream->Next({reply_.get() + kLengthBytes, wire::kMaxMessageBytes});
    if (bytes == 0) {
      c.stream = nullptr;
      --c.in_flight;
      return;
    }
    wire::Store16(reply_.get(), static_cast<uint16_t>(bytes));
    Send(c, {reply_.get(), kLengthBytes + bytes});
  }
}

void TcpListener::Settle(Connection& c) {
  if (c.peer_done && c.unsent.empty() && c.in_flight == 0) {
    Close(c);
    return;
  }
  const bool read = !c.peer_done && c.unsent.empty() && c.in_flight < limits_.in_flight;
  read ? c.readable.Enable() : c.readable.Disable();
  c.unsent.empty() ? c.writable.Disable() : c.writable.Enable();
}

void TcpListener::SendReply(const ReplyTo& to, const SocketAddress&,
                            std::span<const uint8_t> reply) {
  Connection* c = Find(to.connection);
  if (c == nullptr) {
    counters_.lost.Add();
    return;
  }
  --c->in_flight;
  c->last_active = seconds_;
  std::array<uint8_t, kLengthBytes> length;
  wire::Store16(length.data(), static_cast<uint16_t>(reply.size()));
  // Two pieces in one segment: most replies wait for nothing else.
  SetOption(c->fd.get(), IPPROTO_TCP, TCP_CORK);
  Send(*c, length);
  if (!c->closed) Send(*c, reply);
  if (c->closed) return;
  SetOption(c->fd.get(), IPPROTO_TCP, TCP_CORK, 0);
  Settle(*c);
  // What was read while the limit was reached is answered when the loop comes round.
  if (!c->closed && c->read_bytes >= kLengthBytes) c->writable.Enable();
}

void TcpListener::SendStream(const ReplyTo& to, const std::shared_ptr<ReplyStream>& stream) {
  Connection* c = Find(to.connection);
  if (c == nullptr) return counters_.lost.Add();
  // One at a time: a second one that was asked for meanwhile ends the connection.
  if (c->stream != nullptr) return Close(*c);
  c->stream = stream;
  c->last_active = seconds_;
  Pump(*c);
  if (c->closed) return;
  Settle(*c);
  if (!c->closed && c->read_bytes >= kLengthBytes) c->writable.Enable();
}

void TcpListener::Forget(const ReplyTo& to) {
  Connection* c = Find(to.connection);
  if (c == nullptr) return;
  --c->in_flight;
  Settle(*c);
  if (!c->closed && c->read_bytes >= kLengthBytes) c->writable.Enable();
}

void TcpListener::OnSecond() {
  closed_.clear();
  ++seconds_;
  watch_.Enable();
  const auto idle = static_cast<uint64_t>(absl::ToInt64Seconds(limits_.idle));
  std::vector<Connection*> expired;
  for (const auto& [id, c] : connections_) {
    const bool waits = c->in_flight > 0 && c->stream == nullptr;
    if (!waits && seconds_ - c->last_active >= idle) expired.push_back(c.get());
  }
  for (Connection* c : expired) {
    counters_.idle.Add();
    Close(*c);
  }
  ticking_ = !connections_.empty() || !closed_.empty();
  if (ticking_) second_.Start(absl::Seconds(1));
}

void TcpListener::Close(Connection& c) {
  if (c.closed) return;
  c.closed = true;
  c.readable.Disable();
  c.writable.Disable();
  c.fd.Reset();
  auto it = connections_.find(c.id);
  closed_.push_back(std::move(it->second));
  connections_.erase(it);
}

TcpListener::Connection* TcpListener::Find(uint64_t id) {
  auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

void TcpListener::Collect(MetricFamilies& families) const {
  auto add = [&](std::string_view event, const Counter& counter) {
    AddCounterSample(families, "portolan_dns_tcp_events_total",
                     "What happened to connections of DNS over TCP.", {{"event", event}},
                     static_cast<double>(counter.value()));
  };
  add("accepted", counters_.accepted);
  add("refused_over_limit", counters_.over_limit);
  add("accept_failed", counters_.accept_failed);
  add("closed_idle", counters_.idle);
  add("closed_oversized_query", counters_.oversized);
  add("closed_slow_reader", counters_.slow_reader);
  add("reply_without_connection", counters_.lost);
}

}  // namespace portolan::dns
