#include "proxy/corefile_pages.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "common/fd.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan::proxy {
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

void CorefilePages::Serve(const Page& page, const std::optional<dns::HttpAddress>& wanted) {
  const auto open = open_.find(page.directive);
  if (open != open_.end()) {
    if (wanted == open->second.address) return;
    open_.erase(open);
  }
  if (!wanted.has_value()) return;
  auto server = Listen(page.directive, *wanted);
  if (server != nullptr) server->Get(page.path, page.handler);
  open_[page.directive] = {*wanted, std::move(server)};
}

std::unique_ptr<http::Server> CorefilePages::Listen(const std::string& directive,
                                                    const dns::HttpAddress& wanted) {
  if (std::find(app_ports_.begin(), app_ports_.end(), wanted.port) != app_ports_.end()) {
    declared_.Add();
    log::warn("{}: a container of the pod declares port {}; the page is on the status port alone",
              directive, wanted.port);
    return nullptr;
  }
  std::vector<SocketAddress> addresses;
  if (wanted.ip.has_value()) {
    addresses.push_back({*wanted.ip, wanted.port});
  } else {
    addresses = Usable({{IpAddress(), wanted.port}, {*IpAddress::Parse("::"), wanted.port}});
  }
  auto server = http::Server::Listen(loop_, {.name = directive, .listen = std::move(addresses)});
  if (server.ok()) return *std::move(server);
  taken_.Add();
  log::warn("{}: {}; the page is on the status port alone", directive, Message(server.status()));
  return nullptr;
}

void CorefilePages::CollectMetrics(MetricFamilies& families) const {
  const auto add = [&](std::string_view reason, const Counter& counter) {
    AddCounterSample(families, "portolan_corefile_pages_not_opened_total",
                     "Addresses of health, ready and prometheus that were left to the application.",
                     {{"reason", reason}}, static_cast<double>(counter.value()));
  };
  add("declared", declared_);
  add("taken", taken_);
}

}  // namespace portolan::proxy
