#include "dns/upstream/socket.h"

#include <sys/socket.h>

#include <cerrno>

namespace portolan::dns::upstream {

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

Started Socket::Open(const SocketAddress& server, int type) {
  if (context_.sockets >= context_.max_sockets) {
    context_.too_many_sockets.Add();
    return Started::kNoSocket;
  }
  const int domain = server.ip.is_v4() ? AF_INET : AF_INET6;
  Fd fd(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    // A family that the kernel does not have is the server's trouble, all else is ours.
    if (errno == EAFNOSUPPORT) {
      context_.socket_errors.Add();
      return Started::kUnreachable;
    }
    context_.no_descriptors.Add();
    return Started::kNoSocket;
  }
  sockaddr_storage address;
  const socklen_t length = server.ToSockaddr(&address);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 &&
      errno != EINPROGRESS) {
    context_.socket_errors.Add();
    return Started::kUnreachable;
  }
  fd_ = std::move(fd);
  ++context_.sockets;
  return Started::kYes;
}

void Socket::Close() {
  if (!fd_.valid()) return;
  fd_.Reset();
  --context_.sockets;
}

}  // namespace portolan::dns::upstream
