#include "proxy/corefile_pages.h"

#include <algorithm>
#include <utility>

#include "common/listen_addresses.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan::proxy {

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
