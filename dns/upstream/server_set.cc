#include "dns/upstream/server_set.h"

#include <algorithm>
#include <string>
#include <utility>

namespace portolan::dns::upstream {
namespace {

// The names CoreDNS gives them (miekg/dns, RcodeToString).
constexpr std::array<std::string_view, 11> kRcodeNames = {
    "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "other"};

}  // namespace

ServerSet::ServerSet(const ServerSetConfig& config)
    : policy_(config.policy),
      transports_(config.transports),
      max_concurrent_(config.max_concurrent) {
  for (const SocketAddress& address : config.servers) {
    if (servers_.size() == kMaxServers) break;
    servers_.emplace_back().address = address;
  }
}

size_t ServerSet::First(Random& random) {
  switch (policy_) {
    case Policy::kRandom:
      return random.Below(servers_.size());
    case Policy::kRoundRobin:
      return next_first_++ % servers_.size();
    case Policy::kSequential:
      break;
  }
  return 0;
}

ServerOrder ServerSet::Order(Clock::time_point now, Random& random) {
  ServerOrder order;
  if (servers_.empty()) return order;
  const size_t first = First(random);
  std::array<uint8_t, kMaxServers> down{};
  size_t down_size = 0;
  for (size_t i = 0; i < servers_.size(); ++i) {
    const size_t place = (first + i) % servers_.size();
    Server& server = servers_[place];
    if (!is_down(place)) {
      order.places[order.size++] = static_cast<uint8_t>(place);
    } else if (now >= server.probe_at) {
      // This query finds out whether it is back; others go elsewhere meanwhile.
      server.probe_at = now + server.probe_delay;
      order.places[order.size++] = static_cast<uint8_t>(place);
    } else {
      down[down_size++] = static_cast<uint8_t>(place);
    }
  }
  std::copy_n(down.begin(), down_size, order.places.begin() + order.size);
  order.size += down_size;
  return order;
}

void ServerSet::OnReply(size_t place, uint16_t rcode) {
  Server& server = servers_[place];
  server.responses[std::min<size_t>(rcode, server.responses.size() - 1)].Add();
  server.failures_in_a_row = 0;
  server.probe_delay = kFirstProbeDelay;
}

void ServerSet::OnFailure(size_t place, Clock::time_point now) {
  Server& server = servers_[place];
  server.failures.Add();
  ++server.failures_in_a_row;
  if (server.failures_in_a_row == kFailuresUntilDown) {
    server.probe_at = now + kFirstProbeDelay;
  } else if (server.failures_in_a_row > kFailuresUntilDown) {
    server.probe_delay = std::min(server.probe_delay * 2, kMaxProbeDelay);
    server.probe_at = now + server.probe_delay;
  }
}

void ServerSet::CollectMetrics(MetricFamilies& families) const {
  for (const Server& server : servers_) {
    const std::string to = server.address.ToString();
    AddCounterSample(families, "coredns_forward_requests_total", "Questions sent to an upstream.",
                     {{"to", to}}, static_cast<double>(server.requests.value()));
    for (size_t i = 0; i < server.responses.size(); ++i) {
      const uint64_t count = server.responses[i].value();
      if (count == 0) continue;
      AddCounterSample(families, "coredns_forward_responses_total",
                       "Replies received from an upstream.",
                       {{"to", to}, {"rcode", kRcodeNames[i]}}, static_cast<double>(count));
    }
    AddCounterSample(families, "portolan_upstream_server_failures_total",
                     "Questions that an upstream left unanswered for the hedge delay, or that "
                     "failed with a socket error.",
                     {{"to", to}}, static_cast<double>(server.failures.value()));
  }
}

}  // namespace portolan::dns::upstream
