// Which of a Service's eligible endpoints a new connection goes to: round robin per Service port.
//
// One per worker, on its thread; nothing is shared, so each worker goes round on its own. The round
// starts at a random endpoint, else the sidecars of a thousand pods that start together would all
// call on the first one.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "common/ip.h"
#include "proxy/forwarder/routes.h"

namespace portolan::proxy {

class EndpointChooser {
 public:
  explicit EndpointChooser(uint32_t seed);

  // An endpoint of `route` that is not among `tried`; null if there is none.
  const RouteEndpoint* Choose(const Route& route, std::span<const SocketAddress> tried);

 private:
  struct Turn {
    std::weak_ptr<const RouteTarget> target;  // tells a target from a later one at its address
    uint32_t next = 0;
  };

  Turn& TurnOf(const std::shared_ptr<const RouteTarget>& target);
  void ForgetRemovedTargets();

  absl::flat_hash_map<const RouteTarget*, Turn> turns_;
  size_t sweep_at_ = 64;  // size of turns_ at which removed targets are swept out
  std::minstd_rand random_;
};

}  // namespace portolan::proxy
