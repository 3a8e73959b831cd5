// Which endpoint a new connection goes to, and what one worker knows of the endpoints it uses: how
// many connections each carries and which of them fail.
//
// Of the endpoints of a Route, which are eligible by kube-proxy's rules, one is taken
//
//   kLeastLoad    the next in turn or one picked at random, whichever carries fewer connections
//                 from this worker; the next in turn where they are equal
//   kRoundRobin   the next in turn
//   kRandom       picked at random
//
// Turns start at a random endpoint, else the sidecars of a thousand pods that start together would
// all call on the first one. With session affinity the endpoint that the pod used last is taken, as
// long as it is eligible and lets itself be connected to.
//
// What policy does not allow is no candidate: it takes no turn, and is neither tried nor failed.
//
// Ejection: an endpoint that could not be connected to several times in a row is passed over, never
// more than half of a Route's. When its time is over one connection tries it: if that succeeds it
// is back, else it is passed over for twice as long. Where all others were tried an ejected one is
// better than none.
//
// One per worker, on its thread. State is kept only of endpoints that were used, and no longer than
// until Review finds them gone. Times are monotonic.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "proxy/forwarder/counters.h"
#include "proxy/forwarder/routes.h"
#include "proxy/forwarder/service_metrics.h"

namespace portolan::proxy {

struct BalancerOptions {
  // Failures in a row after which an endpoint is ejected; 0: none ever is.
  uint32_t eject_after = 3;
  absl::Duration eject_for = absl::Seconds(5);  // at first
  absl::Duration eject_at_most = absl::Minutes(5);
  // Where endpoints are counted by name; never null.
  std::shared_ptr<ServiceMetrics> metrics = std::make_shared<ServiceMetrics>();
};

// The endpoints of one Service port that a worker has used.
struct UsedTarget;

struct UsedEndpoint {
  SocketAddress address;
  UsedTarget* target = nullptr;
  // What the balancer does not see (failures by reason, bytes) is its user's to count.
  CountedEndpoint counted;
  uint32_t active = 0;     // taken and not given back
  uint32_t failures = 0;   // in a row
  uint32_t ejections = 0;  // in a row; above 0 it is ejected, or on trial
  uint32_t among = 0;      // endpoints of the Route that it was taken from
  bool on_trial = false;   // one connection tries it after its time is over
  bool deleted = false;    // no longer in the directory
  absl::Duration ejected_until = absl::ZeroDuration();
};

class Balancer {
 public:
  // `counters` outlives it.
  Balancer(BalancerOptions options, ForwarderCounters& counters, uint32_t seed);
  ~Balancer();

  // Whether policy lets an endpoint be connected to. It may be asked more than once for each.
  using Allows = absl::FunctionRef<bool(const SocketAddress&)>;

  // An endpoint of `route` that is allowed and not among `tried`; null if there is none. It stays
  // where it is until it is given back, once, by Failed or Release.
  // REQUIRES: who has it holds route.target as well.
  UsedEndpoint* Take(const Route& route, std::span<const SocketAddress> tried, absl::Duration now,
                     Allows allows);
  // Where no policy applies.
  UsedEndpoint* Take(const Route& route, std::span<const SocketAddress> tried, absl::Duration now) {
    return Take(route, tried, now, [](const SocketAddress&) { return true; });
  }

  // It was connected to (TCP) or has answered (UDP).
  void Succeeded(UsedEndpoint& endpoint);
  // It could not be connected to. Gives it back.
  void Failed(UsedEndpoint& endpoint, absl::Duration now);
  // The connection has ended, or was given up. Gives it back.
  void Release(UsedEndpoint& endpoint);

  // What this worker knows of an endpoint, for who explains a choice. It chooses nothing.
  struct EndpointState {
    SocketAddress address;
    uint32_t active = 0;    // connections of this worker
    uint32_t failures = 0;  // in a row
    bool ejected = false;   // passed over, or tried by one connection
    absl::Duration ejected_for = absl::ZeroDuration();
    bool kept = false;  // session affinity leads there
  };
  // In the route's order.
  std::vector<EndpointState> Describe(const Route& route, absl::Duration now) const;

  // Looks what became of the endpoints; to be called some time after a change of the directory.
  // Marks those that were deleted, forgets those of them that nobody uses.
  void Review(const Snapshot& snapshot);

 private:
  class Round;

  UsedTarget& TargetOf(const Route& route);
  std::unique_ptr<UsedEndpoint> FirstUse(const RouteEndpoint& endpoint, UsedTarget& target,
                                         absl::Duration now);
  size_t PickAffine(const Round& round, UsedTarget& target);
  size_t Pick(const Round& round, UsedTarget& target);
  size_t PickRandom(const Round& round);
  bool MayEject(const UsedEndpoint& endpoint) const;
  void Eject(UsedEndpoint& endpoint, absl::Duration now);

  const BalancerOptions options_;
  ForwarderCounters& counters_;
  absl::flat_hash_map<const RouteTarget*, std::unique_ptr<UsedTarget>> targets_;
  std::minstd_rand random_;
};

}  // namespace portolan::proxy
