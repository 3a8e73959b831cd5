#include "proxy/forwarder/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "common/socket_option.h"
#include "common/status.h"
#include "proxy/forwarder/transparent.h"

namespace portolan::proxy {
namespace {

// The kernel cuts it down to net.core.somaxconn.
constexpr int kBacklog = 4096;

absl::StatusOr<Fd> OpenSocket(const SocketAddress& address, Listener::Kind kind) {
  const int family = address.ip.is_v4() ? AF_INET : AF_INET6;
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  const socklen_t length = address.ToSockaddr(&storage);
  const auto* generic = reinterpret_cast<const sockaddr*>(&storage);
  // Accepted sockets inherit TCP_NODELAY. V6ONLY, so that [::] and 0.0.0.0 can both be listened on.
  if (!fd.valid() || !SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR) ||
      !SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT) ||
      !SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY) ||
      (family == AF_INET6 && !SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) ||
      (kind == Listener::Kind::kTransparent && !SetTransparent(fd.get(), address.ip.family())) ||
      bind(fd.get(), generic, length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return ErrnoError(errno, "forwarder: listen on " + address.ToString());
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(EventLoop& loop,
                                                         const SocketAddress& address, Kind kind,
                                                         OnReady on_ready) {
  auto fd = OpenSocket(address, kind);
  if (!fd.ok()) return fd.status();
  auto listener = std::unique_ptr<Listener>(new Listener());
  listener->fd_ = *std::move(fd);
  sockaddr_storage bound;
  socklen_t length = sizeof bound;
  auto* generic = reinterpret_cast<sockaddr*>(&bound);
  if (getsockname(listener->fd_.get(), generic, &length) != 0) {
    return ErrnoError(errno, "forwarder: getsockname of " + address.ToString());
  }
  auto local = SocketAddress::From(generic, length);
  if (!local.ok()) return local.status();
  listener->address_ = *local;
  listener->watch_ =
      loop.AddWatch(listener->fd_.get(), EventLoop::Interest::kRead,
                    [self = listener.get(), on_ready = std::move(on_ready)] { on_ready(*self); });
  return listener;
}

Listener::Outcome Listener::Accept(Fd& connection, SocketAddress& client) {
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  auto* generic = reinterpret_cast<sockaddr*>(&peer);
  Fd accepted(accept4(fd_.get(), generic, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.valid()) {
    switch (errno) {
      case EAGAIN:
        return Outcome::kNoneWaiting;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Outcome::kNoDescriptor;
      default:
        return Outcome::kAborted;
    }
  }
  auto address = SocketAddress::From(generic, length);
  if (!address.ok()) return Outcome::kAborted;
  connection = std::move(accepted);
  client = *address;
  return Outcome::kAccepted;
}

}  // namespace portolan::proxy
