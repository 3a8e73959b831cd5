// One upstream server as one worker knows it: how to reach it, how it has been doing.
//
// The worker's loop; counters are read from anywhere.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/ip.h"
#include "common/metrics.h"
#include "dns/upstream/attempt.h"
#include "dns/upstream/health.h"
#include "dns/upstream/loop_watch.h"
#include "dns/upstream/stream_pool.h"

namespace portolan::dns::upstream {

// kAsNeeded: UDP, and TCP when the answer was cut short.
enum class Transports : uint8_t { kAsNeeded, kTcpOnly };

struct ServerConfig {
  ServerConfig() = default;
  // Plain DNS.
  ServerConfig(const SocketAddress& a) : address(a) {}  // NOLINT(google-explicit-constructor)

  SocketAddress address;
  bool tls = false;
  std::string tls_name;  // what the certificate must be for; empty: the address
  // It is one more endpoint of the Service that the server before it is one of.
  bool alternative = false;
};

struct ServerOptions {
  Transports transports = Transports::kAsNeeded;
  StreamLimits streams;
  HealthOptions health;
  std::shared_ptr<const TlsTrust> trust;  // for servers with tls
  std::shared_ptr<LoopWatch> loop;        // null: not looked for
};

class Server {
 public:
  Server(Context& context, const ServerConfig& config, const ServerOptions& options, size_t place);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const SocketAddress& address() const { return config_.address; }

  // A client's question, over what the configuration says.
  Started Send(Attempt& attempt, const Outgoing& outgoing);
  // The same over a stream, after a reply that was cut short.
  Started SendOverStream(Attempt& attempt, const Outgoing& outgoing);
  // A question of our own; a stream is then a fresh one, since a kept one may be what is broken.
  Started SendProbe(Attempt& attempt, const Outgoing& outgoing);

  // What became of a client's question.
  void OnReply(uint16_t rcode, Clock::duration took);
  void OnUnanswered();

  bool avoided() const { return health_.avoided(); }
  bool down() const { return health_.down(); }
  bool leads_back() const { return loop_.has_value() && loop_->leads_back(); }

  void CollectMetrics(MetricFamilies& families) const;

 private:
  bool StreamsOnly() const { return config_.tls || transports_ == Transports::kTcpOnly; }

  const ServerConfig config_;
  const Transports transports_;
  StreamPool streams_;
  Health health_;
  std::optional<LoopProbe> loop_;
  Counter requests_;
  Counter over_udp_;
  // By rcode; the last holds all rcodes above 10.
  std::deque<Histogram> responses_;
  Counter unanswered_;
};

}  // namespace portolan::dns::upstream
