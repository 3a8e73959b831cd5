// The connections kept to one upstream by one worker: pipelined, reused, bounded in number. Those
// without questions under way are closed after `expire`, or at once beyond `max_idle`.
//
// The worker's loop; counters are read from anywhere. At its end no attempt runs on its
// connections.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/upstream/connection.h"
#include "dns/upstream/context.h"
#include "dns/upstream/socket.h"
#include "dns/upstream/tls.h"

namespace portolan::dns::upstream {

// CoreDNS's defaults (plugin/forward/README.md).
struct StreamLimits {
  absl::Duration expire = absl::Seconds(10);
  size_t max_idle = 0;  // 0: as many as there may be
};

class StreamPool {
 public:
  static constexpr size_t kMaxConnections = 8;

  // `trust` null: plain TCP.
  StreamPool(Context& context, const SocketAddress& address, const StreamLimits& limits,
             std::shared_ptr<const TlsTrust> trust, std::string tls_name);

  // A connection with room for a question, kept or new.
  Started Find(Connection*& connection);
  // A new one. kNoSocket also when kMaxConnections have questions under way.
  Started Open(Connection*& connection);

  void CollectMetrics(MetricFamilies& families) const;

  // For its connections.
  const SocketAddress& address() const { return address_; }
  const TlsTrust* trust() const { return trust_.get(); }
  const std::string& tls_name() const { return tls_name_; }
  TlsSession& session() { return session_; }
  absl::Duration expire() const { return limits_.expire; }
  // May destroy the connection.
  void OnIdle(Connection& connection);
  void Remove(Connection& connection);
  std::unique_ptr<Connection> Take(Connection& connection);
  void CountHandshake(bool resumed) { (resumed ? resumed_ : handshakes_).Add(); }
  void OnTlsError(TlsError error, const std::string& text);

 private:
  Context& context_;
  const SocketAddress address_;
  const StreamLimits limits_;
  const std::shared_ptr<const TlsTrust> trust_;
  const std::string tls_name_;
  TlsSession session_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Counter hits_, misses_, handshakes_, resumed_;
  Clock::time_point next_log_;
};

}  // namespace portolan::dns::upstream
