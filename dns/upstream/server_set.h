// The servers of one `forward`, on one worker: which to ask first, and how each has been doing.
//
// A server that let kFailuresUntilDown queries in a row go unanswered (for the hedge delay, or with
// a socket error) is asked last; after a second one query tries it again, and after each further
// failure in twice the time, up to kMaxProbeDelay. When all are down all are asked all the same.
//
// One worker's loop; counters are read from anywhere.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/metrics.h"
#include "common/resolv_conf.h"
#include "dns/upstream/random.h"

namespace portolan::dns::upstream {

// As many as resolv.conf may name.
inline constexpr size_t kMaxServers = kMaxNameservers;

using Clock = std::chrono::steady_clock;

enum class Policy : uint8_t { kRandom, kRoundRobin, kSequential };
// kAsNeeded: UDP, and TCP when the answer was cut short.
enum class Transports : uint8_t { kAsNeeded, kTcpOnly };

struct ServerSetConfig {
  std::vector<SocketAddress> servers;  // at most kMaxServers; the rest is left out
  Policy policy = Policy::kSequential;
  Transports transports = Transports::kAsNeeded;
  // Clients that may wait for this set's servers on one worker; 0: no limit of its own.
  size_t max_concurrent = 0;
};

inline constexpr int kFailuresUntilDown = 2;
inline constexpr std::chrono::seconds kFirstProbeDelay{1};
inline constexpr std::chrono::seconds kMaxProbeDelay{16};

// Places in `servers`, the one to ask first at the front.
struct ServerOrder {
  std::array<uint8_t, kMaxServers> places{};
  size_t size = 0;
};

class ServerSet {
 public:
  struct Server {
    SocketAddress address;
    Counter requests;
    // By rcode; the last holds all rcodes above 9.
    std::array<Counter, 11> responses;
    Counter failures;

   private:
    friend class ServerSet;
    int failures_in_a_row = 0;
    std::chrono::seconds probe_delay = kFirstProbeDelay;
    Clock::time_point probe_at;
  };

  explicit ServerSet(const ServerSetConfig& config);

  // Each server once.
  ServerOrder Order(Clock::time_point now, Random& random);

  // To be called for what becomes of a question to server number `place`.
  void OnSent(size_t place) { servers_[place].requests.Add(); }
  void OnReply(size_t place, uint16_t rcode);
  void OnFailure(size_t place, Clock::time_point now);

  size_t size() const { return servers_.size(); }
  const Server& server(size_t place) const { return servers_[place]; }
  bool is_down(size_t place) const {
    return servers_[place].failures_in_a_row >= kFailuresUntilDown;
  }
  Transports transports() const { return transports_; }

  // Clients that wait for an answer of this set.
  bool full() const { return max_concurrent_ != 0 && waiting_ >= max_concurrent_; }
  void AddWaiting() { ++waiting_; }
  void RemoveWaiting(size_t n) { waiting_ -= n; }
  size_t waiting() const { return waiting_; }

  // coredns_forward_requests_total and coredns_forward_responses_total by server, and
  // portolan_upstream_server_failures_total. Any thread.
  void CollectMetrics(MetricFamilies& families) const;

 private:
  size_t First(Random& random);

  std::deque<Server> servers_;  // counters do not move
  Policy policy_;
  Transports transports_;
  size_t max_concurrent_;
  size_t waiting_ = 0;
  size_t next_first_ = 0;  // round robin
};

}  // namespace portolan::dns::upstream
