// What a Service asks of those who connect to it, beyond which endpoints are eligible.
//
// From the Service's own fields (sessionAffinity, internalTrafficPolicy) and from annotations:
//
//   portolan.dev/load-balancer     least-load (default), round-robin or random
//   portolan.dev/max-connections   connections and UDP flows that one sidecar may have open to each
//                                  port of the Service; 1 to 4,294,967,295
//
// Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "directory/model.h"

namespace portolan::proxy {

enum class LoadBalancing : uint8_t {
  kLeastLoad,  // of two picks the one with fewer connections from this worker
  kRoundRobin,
  kRandom,
};

struct RoutePolicy {
  LoadBalancing load_balancing = LoadBalancing::kLeastLoad;
  uint32_t affinity_seconds = 0;  // ClientIP; 0: none
  uint32_t max_connections = 0;   // 0: no limit
  friend bool operator==(const RoutePolicy&, const RoutePolicy&) = default;
};

// A value that cannot be read is not followed.
RoutePolicy PolicyOf(const Service& service);

// Such values, a line each that names the Service, the annotation and the value.
std::vector<std::string> PolicyFaults(const Service& service);

}  // namespace portolan::proxy
