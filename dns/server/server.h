// The DNS server of one worker: UDP and TCP listeners on its addresses, the chains that answer, and
// the slots of queries that wait.
//
//   auto server = Server::Start(loop, {.listen = {address}});
//   (*server)->SetChains(zones);                       // on the loop's thread
//   page.AddSource([&](auto& families) { (*server)->CollectMetrics(families); });
//
// All workers listen on the same addresses; the kernel spreads clients over them. Start on the
// loop's thread or before it runs. Destroy what may still resume an exchange (upstream transports)
// before the server, and the ClusterDataHolder after it.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/server/explained_questions.h"
#include "dns/server/query_handler.h"
#include "dns/server/routes.h"
#include "dns/server/tcp_listener.h"
#include "dns/server/udp_listener.h"

namespace portolan::dns {

struct ServerOptions {
  // With port 0, UDP and TCP take the same free port: give the next worker addresses().
  std::vector<SocketAddress> listen = {};
  size_t suspended_over_udp = 1024;
  size_t suspended_over_tcp = 64;
  TcpListener::Limits tcp = {};
  // Told of the replies that a chain made, and of those that the gate made; outlives the server.
  ReplyObserver* observer = nullptr;
  // Which questions may be asked; outlives the server. Null: all.
  QueryGate* gate = nullptr;
};

class Server {
 public:
  static absl::StatusOr<std::unique_ptr<Server>> Start(EventLoop& loop,
                                                       const ServerOptions& options);
  ~Server();

  // The loop's thread. Queries that wait end by the chains they began with. Names in no zone are
  // REFUSED, and so is everything before the first call.
  void SetChains(std::vector<ZoneChain> zones) { handler_.SetChains(std::move(zones)); }

  // Asks the message as if `client` had sent it, and says how it was answered. The loop's thread.
  void Explain(std::span<const uint8_t> message, const SocketAddress& client,
               ExplainedQuestions::Done done) {
    explained_.Ask(message, client, std::move(done));
  }

  // What is listened on, with ports.
  const std::vector<SocketAddress>& addresses() const { return addresses_; }

  // Queries that wait for an upstream: none are left when a shutdown may go on. The loop's thread.
  size_t suspended() const { return slots_.in_use(); }

  // Any thread.
  void CollectMetrics(MetricFamilies& families) const;

 private:
  explicit Server(const ServerOptions& options);
  absl::Status Listen(EventLoop& loop, SocketAddress address, const TcpListener::Limits& limits);

  ZoneCounterTable zone_counters_;
  SlotPool slots_;
  QueryHandler handler_;
  ExplainedQuestions explained_;
  UdpBatch batch_;
  std::vector<std::unique_ptr<UdpListener>> udp_;
  std::vector<std::unique_ptr<TcpListener>> tcp_;
  std::vector<SocketAddress> addresses_;
};

}  // namespace portolan::dns
