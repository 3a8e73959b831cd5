#include "common/listen_addresses.h"

#include <sys/socket.h>

#include "common/fd.h"
#include "common/log.h"

namespace portolan {
namespace {

// False where the kernel or the pod has no such family, or not this address: a pod without IPv6.
bool CanListen(const SocketAddress& address) {
  Fd fd(socket(address.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return false;
  sockaddr_storage raw;
  const socklen_t length = SocketAddress{address.ip, 0}.ToSockaddr(&raw);
  return bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0;
}

}  // namespace

std::vector<SocketAddress> Usable(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> usable;
  for (const SocketAddress& address : addresses) {
    if (address.ip.is_v4() || CanListen(address)) {
      usable.push_back(address);
    } else {
      log::info("no IPv6 here: not listening on {}", address.ToString());
    }
  }
  return usable;
}

}  // namespace portolan
