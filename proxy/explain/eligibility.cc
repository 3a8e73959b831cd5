#include "proxy/explain/eligibility.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_join.h"

namespace portolan::proxy {
namespace {

std::string WordOr(const std::string& word, const char* otherwise) {
  return word.empty() ? otherwise : word;
}

std::string WhyNotLocal(const Endpoint& endpoint, const Place& here) {
  if (here.node.empty()) {
    return "internalTrafficPolicy is Local, and which node this pod runs on is not known";
  }
  return fmt::format("internalTrafficPolicy is Local: it is on node {}, this pod on {}",
                     WordOr(endpoint.node_name, "(not known)"), here.node);
}

// It is ready, and others are preferred.
std::string WhyHinted(const Endpoint& endpoint, const Place& here) {
  if (!endpoint.node_hints.empty() && !here.node.empty()) {
    const auto& hints = endpoint.node_hints;
    if (std::find(hints.begin(), hints.end(), here.node) == hints.end()) {
      return fmt::format("hinted for node {}, this pod is on {}", absl::StrJoin(hints, ", "),
                         here.node);
    }
  }
  return fmt::format("hinted for zone {}, this pod is in {}",
                     WordOr(absl::StrJoin(endpoint.zone_hints, ", "), "(none)"),
                     WordOr(here.zone, "(not known)"));
}

std::string WhyNot(const Endpoint& endpoint, bool any_ready, TrafficPolicy policy,
                   const Place& here) {
  const bool elsewhere = here.node.empty() || endpoint.node_name != here.node;
  if (policy == TrafficPolicy::kLocal && elsewhere) return WhyNotLocal(endpoint, here);
  const EndpointConditions& conditions = endpoint.conditions;
  if (conditions.ready) return WhyHinted(endpoint, here);
  if (!conditions.terminating) return "not ready";
  if (!conditions.serving) return "terminating";
  return any_ready ? "terminating, and others are ready" : "terminating";
}

}  // namespace

std::vector<Eligibility> ExplainEligibility(const std::vector<RouteEndpoint>& all,
                                            TrafficPolicy policy, const Place& here) {
  absl::flat_hash_set<SocketAddress> eligible;
  for (const RouteEndpoint& one : EligibleEndpoints(all, policy, here))
    eligible.insert(one.address);
  const bool any_ready = std::any_of(all.begin(), all.end(), [](const RouteEndpoint& one) {
    return one.endpoint->conditions.ready;
  });
  std::vector<Eligibility> explained;
  explained.reserve(all.size());
  for (const RouteEndpoint& one : all) {
    explained.push_back({one, eligible.contains(one.address)
                                  ? ""
                                  : WhyNot(*one.endpoint, any_ready, policy, here)});
  }
  return explained;
}

}  // namespace portolan::proxy
