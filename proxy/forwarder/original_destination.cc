#include "proxy/forwarder/original_destination.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace portolan::proxy {
namespace {

// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST; their headers clash with netinet/in.h.
constexpr int kOriginalDst = 80;

std::optional<SocketAddress> Ask(int fd, int level) {
  sockaddr_storage address;
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (getsockopt(fd, level, kOriginalDst, &address, &length) != 0) return std::nullopt;
  auto original = SocketAddress::From(generic, length);
  if (!original.ok()) return std::nullopt;
  return *original;
}

}  // namespace

std::optional<SocketAddress> KernelOriginalDestination(int fd, IpFamily family) {
  return Ask(fd, family == IpFamily::kIpv6 ? SOL_IPV6 : SOL_IP);
}

std::optional<SocketAddress> LocalAddress(int fd, IpFamily /*family*/) {
  sockaddr_storage address;
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (getsockname(fd, generic, &length) != 0) return std::nullopt;
  auto local = SocketAddress::From(generic, length);
  if (!local.ok()) return std::nullopt;
  return *local;
}

}  // namespace portolan::proxy
