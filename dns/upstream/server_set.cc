#include "dns/upstream/server_set.h"

#include <algorithm>

namespace portolan::dns::upstream {
namespace {

bool Lists(const std::vector<uint16_t>& rcodes, uint16_t rcode) {
  return std::find(rcodes.begin(), rcodes.end(), rcode) != rcodes.end();
}

}  // namespace

ServerSet::ServerSet(const ServerSetConfig& config, Context& context)
    : context_(context),
      policy_(config.policy),
      rules_(config.rules),
      max_concurrent_(config.max_concurrent),
      max_attempts_(config.max_attempts),
      fail_fast_(config.fail_fast),
      spelling_(config.randomize_case ? Spelling::kExact : Spelling::kAny) {
  for (const ServerConfig& server : config.servers) {
    if (servers_.size() == kMaxServers) break;
    if (groups_.empty() || !server.alternative) groups_.push_back({servers_.size(), 0});
    ++groups_.back().size;
    servers_.emplace_back(context, server, config.options, servers_.size());
  }
}

size_t ServerSet::First() {
  switch (policy_) {
    case Policy::kRandom:
      return context_.random.Below(groups_.size());
    case Policy::kRoundRobin:
      return next_first_++ % groups_.size();
    case Policy::kSequential:
      break;
  }
  return 0;
}

ServerOrder ServerSet::Order() {
  ServerOrder order;
  if (servers_.empty()) return order;
  const size_t first = First();
  std::array<uint8_t, kMaxServers> avoided{};
  size_t avoided_size = 0;
  const auto add = [&](size_t place) {
    const Server& server = servers_[place];
    if (server.leads_back()) return;
    if (server.avoided()) {
      avoided[avoided_size++] = static_cast<uint8_t>(place);
    } else {
      order.places[order.size++] = static_cast<uint8_t>(place);
    }
  };
  for (size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[(first + i) % groups_.size()];
    const size_t turn = group.size == 1 ? 0 : context_.random.Below(group.size);
    for (size_t j = 0; j < group.size; ++j) add(group.begin + (turn + j) % group.size);
  }
  std::copy_n(avoided.begin(), avoided_size, order.places.begin() + order.size);
  order.size += avoided_size;
  return order;
}

bool ServerSet::AllDown() const {
  return std::all_of(servers_.begin(), servers_.end(),
                     [](const Server& server) { return server.down(); });
}

bool ServerSet::FailsOver(const Reply& reply) const {
  return Lists(rules_.failover, reply.rcode());
}

bool ServerSet::GoesToNextLink(const Reply& reply) const {
  return Lists(rules_.next, reply.rcode()) || (rules_.next_on_nodata && reply.nodata());
}

void ServerSet::CollectMetrics(MetricFamilies& families) const {
  for (const Server& server : servers_) server.CollectMetrics(families);
}

}  // namespace portolan::dns::upstream
