#include "proxy/forwarder/udp_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "common/socket_option.h"
#include "common/status.h"
#include "proxy/forwarder/transparent.h"

namespace portolan::proxy {
namespace {

// A burst waits here while the worker is busy. The kernel cuts it down to net.core.rmem_max.
constexpr int kReceiveBuffer = 4 << 20;

bool SetFamilyOptions(int fd, IpFamily family) {
  if (!SetTransparent(fd, family)) return false;
  // V6ONLY, so that [::] and 0.0.0.0 can both be listened on.
  return family == IpFamily::kIpv4 ? SetOption(fd, SOL_IP, IP_RECVORIGDSTADDR)
                                   : SetOption(fd, SOL_IPV6, IPV6_V6ONLY) &&
                                         SetOption(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR);
}

absl::StatusOr<UdpSockets::Listener> Listen(const SocketAddress& address) {
  const bool v4 = address.ip.is_v4();
  Fd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  socklen_t length = address.ToSockaddr(&storage);
  auto* generic = reinterpret_cast<sockaddr*>(&storage);
  if (!fd.valid() || !SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT) ||
      !SetFamilyOptions(fd.get(), address.ip.family()) || bind(fd.get(), generic, length) != 0) {
    return ErrnoError(errno, "forwarder: listen on UDP " + address.ToString());
  }
  SetOption(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  length = sizeof storage;
  if (getsockname(fd.get(), generic, &length) != 0) {
    return ErrnoError(errno, "forwarder: getsockname of UDP " + address.ToString());
  }
  const auto bound = SocketAddress::From(generic, length);
  if (!bound.ok()) return bound.status();
  return UdpSockets::Listener{std::move(fd), *bound};
}

absl::Status OpenAnswers(int family, Fd& answers) {
  if (answers.valid()) return absl::OkStatus();
  // IPPROTO_RAW: what is sent has its headers, and nothing is received.
  answers = Fd(socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW));
  return answers.valid() ? absl::OkStatus()
                         : ErrnoError(errno, "forwarder: open a raw socket for UDP answers");
}

absl::StatusOr<UdpSockets> OpenForWorker(const std::vector<SocketAddress>& listen) {
  UdpSockets sockets;
  for (const SocketAddress& address : listen) {
    auto listener = Listen(address);
    if (!listener.ok()) return listener.status();
    sockets.listeners.push_back(*std::move(listener));
    absl::Status opened = address.ip.is_v4() ? OpenAnswers(AF_INET, sockets.answers_v4)
                                             : OpenAnswers(AF_INET6, sockets.answers_v6);
    if (!opened.ok()) return opened;
  }
  return sockets;
}

}  // namespace

absl::StatusOr<std::vector<UdpSockets>> OpenUdpSockets(std::vector<SocketAddress> listen,
                                                       size_t workers) {
  std::vector<UdpSockets> all;
  while (all.size() < workers) {
    auto sockets = OpenForWorker(listen);
    if (!sockets.ok()) return sockets.status();
    for (size_t i = 0; i < listen.size(); ++i) listen[i] = sockets->listeners[i].address;
    all.push_back(*std::move(sockets));
  }
  return all;
}

}  // namespace portolan::proxy
