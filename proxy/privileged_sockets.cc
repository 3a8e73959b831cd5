#include "proxy/privileged_sockets.h"

#include <cstddef>
#include <utility>

#include "common/listen_addresses.h"
#include "proxy/privileges.h"

namespace portolan::proxy {

absl::StatusOr<std::vector<UdpSockets>> OpenPrivileged(const Settings& settings) {
  const auto workers = static_cast<size_t>(settings.concurrency);
  std::vector<UdpSockets> sockets(workers);
  if (settings.udp == "off" && !settings.carries_inbound()) return sockets;
  if (auto status = RaiseNetRaw(); !status.ok()) return status;
  if (settings.udp != "off") {
    auto opened = OpenUdpSockets(Usable(settings.forward_listen), workers);
    if (!opened.ok()) return opened.status();
    sockets = *std::move(opened);
  }
  const Kept kept = settings.carries_inbound() ? Kept::kNetRaw : Kept::kNone;
  if (auto status = DropPrivileges(kept); !status.ok()) return status;
  return sockets;
}

}  // namespace portolan::proxy
