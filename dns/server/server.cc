#include "dns/server/server.h"

namespace portolan::dns {
namespace {

// With port 0 the port that UDP got may be taken for TCP: then another.
constexpr int kPortTries = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(EventLoop& loop,
                                                      const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  for (const SocketAddress& address : options.listen) {
    absl::Status status = server->Listen(loop, address, options.tcp);
    for (int i = 1; i < kPortTries && address.port == 0 && !status.ok(); ++i) {
      status = server->Listen(loop, address, options.tcp);
    }
    if (!status.ok()) return status;
  }
  return server;
}

Server::Server(const ServerOptions& options)
    : slots_(options.suspended_over_udp, options.suspended_over_tcp),
      handler_(slots_, zone_counters_, {options.observer, options.gate}),
      explained_(handler_) {}

Server::~Server() {
  handler_.SetChains({});
  slots_.ReleaseChains();
}

absl::Status Server::Listen(EventLoop& loop, SocketAddress address,
                            const TcpListener::Limits& limits) {
  auto udp = UdpListener::Listen(loop, address, handler_, batch_);
  if (!udp.ok()) return udp.status();
  address.port = (*udp)->address().port;
  auto tcp = TcpListener::Listen(loop, address, limits, handler_);
  if (!tcp.ok()) return tcp.status();
  udp_.push_back(*std::move(udp));
  tcp_.push_back(*std::move(tcp));
  addresses_.push_back(address);
  return absl::OkStatus();
}

void Server::CollectMetrics(MetricFamilies& families) const {
  zone_counters_.Collect(families);
  handler_.Collect(families);
  for (const auto& udp : udp_) udp->Collect(families);
  for (const auto& tcp : tcp_) tcp->Collect(families);
  slots_.CollectMetrics(families);
}

}  // namespace portolan::dns
