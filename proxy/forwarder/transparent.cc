#include "proxy/forwarder/transparent.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <random>

#include "common/socket_option.h"

namespace portolan::proxy {
namespace {

constexpr uint32_t kPorts = 65536 - ClientSources::kFirstPort;

// SO_REUSEADDR: a port is free again for the client's next connection, and for other clients. With
// port 0 the kernel chooses one when it connects, which may then be in use towards others.
int TryFrom(const SocketAddress& from, const SocketAddress& to, Fd& fd) {
  const IpFamily family = to.ip.family();
  fd = Fd(socket(family == IpFamily::kIpv4 ? AF_INET : AF_INET6,
                 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  sockaddr_storage storage;
  socklen_t length = from.ToSockaddr(&storage);
  const auto* generic = reinterpret_cast<const sockaddr*>(&storage);
  if (!SetTransparent(fd.get(), family) || !SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY) ||
      !(from.port == 0 ? SetOption(fd.get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT)
                       : SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR)) ||
      bind(fd.get(), generic, length) != 0) {
    return errno;
  }
  length = to.ToSockaddr(&storage);
  return connect(fd.get(), generic, length) == 0 ? 0 : errno;
}

}  // namespace

bool SetTransparent(int fd, IpFamily family) {
  return family == IpFamily::kIpv4 ? SetOption(fd, SOL_IP, IP_TRANSPARENT)
                                   : SetOption(fd, SOL_IPV6, IPV6_TRANSPARENT);
}

ClientSources::ClientSources(Counter& ran_out) : ran_out_(ran_out), next_(std::random_device{}()) {}

int ClientSources::Connect(const IpAddress& client, const SocketAddress& to, Fd& fd) {
  for (int i = 0; i < kTries; ++i) {
    const int error = TryFrom({client, NextPort()}, to, fd);
    // Somebody listens on that port, or another dial for that client has it.
    if (error != EADDRINUSE && error != EADDRNOTAVAIL) return error;
  }
  ran_out_.Add();
  return TryFrom({client, 0}, to, fd);
}

uint16_t ClientSources::NextPort() { return static_cast<uint16_t>(kFirstPort + next_++ % kPorts); }

}  // namespace portolan::proxy
