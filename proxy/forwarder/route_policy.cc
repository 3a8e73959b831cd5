#include "proxy/forwarder/route_policy.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

namespace portolan::proxy {
namespace {

constexpr std::string_view kLoadBalancer = "portolan.dev/load-balancer";
constexpr std::string_view kMaxConnections = "portolan.dev/max-connections";

bool Read(std::string_view value, LoadBalancing& out) {
  if (value == "least-load") {
    out = LoadBalancing::kLeastLoad;
  } else if (value == "round-robin") {
    out = LoadBalancing::kRoundRobin;
  } else if (value == "random") {
    out = LoadBalancing::kRandom;
  } else {
    return false;
  }
  return true;
}

bool Read(std::string_view value, uint32_t& out) {
  uint32_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stopped != end || number == 0) return false;
  out = number;
  return true;
}

// Calls fault(annotation, value, expected) for what it cannot read.
template <typename OnFault>
RoutePolicy ReadPolicy(const Service& service, OnFault&& fault) {
  RoutePolicy policy;
  if (service.session_affinity == SessionAffinity::kClientIp) {
    policy.affinity_seconds = service.extras->session_affinity_seconds;
  }
  for (const auto& [annotation, value] : service.extras->annotations) {
    if (annotation == kLoadBalancer && !Read(value, policy.load_balancing)) {
      fault(annotation, value, "least-load, round-robin or random");
    }
    if (annotation == kMaxConnections && !Read(value, policy.max_connections)) {
      fault(annotation, value, "a number from 1 to 4294967295");
    }
  }
  return policy;
}

}  // namespace

RoutePolicy PolicyOf(const Service& service) {
  return ReadPolicy(service, [](auto&&...) {});
}

std::vector<std::string> PolicyFaults(const Service& service) {
  std::vector<std::string> faults;
  ReadPolicy(service, [&](const std::string& annotation, const std::string& value,
                          std::string_view expected) {
    faults.push_back(fmt::format("Service {}: annotation {}: '{}' is not {}: not followed",
                                 service.name.ToString(), annotation, value, expected));
  });
  return faults;
}

}  // namespace portolan::proxy
