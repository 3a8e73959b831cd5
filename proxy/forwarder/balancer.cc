#include "proxy/forwarder/balancer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace portolan::proxy {
namespace {

size_t IndexOf(IpFamily family) { return family == IpFamily::kIpv4 ? 0 : 1; }

bool IsEjected(const UsedEndpoint& endpoint, absl::Duration now) {
  return endpoint.ejections > 0 && (endpoint.on_trial || now < endpoint.ejected_until);
}

Affinity::Tag TagOf(const SocketAddress& address) {
  return static_cast<Affinity::Tag>(absl::HashOf(address));
}

// Of all endpoints that the directory has for the target, whatever their conditions.
absl::flat_hash_set<SocketAddress> AddressesOf(const RouteTarget& target,
                                               const Snapshot& snapshot) {
  absl::flat_hash_set<SocketAddress> addresses;
  const SliceSet* set = snapshot.FindSlices(target.service.ToString());
  if (set == nullptr) return addresses;
  std::vector<std::shared_ptr<const EndpointSlice>> slices;
  for (const auto& [name, slice] : *set) slices.push_back(slice);
  for (const auto& one : EndpointsForPort(slices, target.port_name, target.protocol)) {
    addresses.insert(one.address);
  }
  return addresses;
}

}  // namespace

struct UsedTarget {
  std::weak_ptr<const RouteTarget> target;  // tells a target from a later one at its address
  ServicePortName name;
  // By family. Whose turn it is, and where the endpoint of affinity was found last.
  std::array<size_t, 2> turn{};
  std::array<size_t, 2> affine{};
  absl::flat_hash_map<SocketAddress, std::unique_ptr<UsedEndpoint>> endpoints;

  const UsedEndpoint* Find(const SocketAddress& address) const {
    const auto found = endpoints.find(address);
    return found == endpoints.end() ? nullptr : found->second.get();
  }
};

// One choice among the endpoints of a route. Endpoints go by their index; kNone is none.
class Balancer::Round {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  Round(const Route& route, const UsedTarget& target, std::span<const SocketAddress> tried,
        absl::Duration now, Allows allows)
      : route_(route), target_(target), tried_(tried), now_(now), allows_(allows) {}

  const Route& route() const { return route_; }
  size_t size() const { return route_.endpoints.size(); }
  absl::Duration now() const { return now_; }
  const SocketAddress& address(size_t i) const { return route_.endpoints[i].address; }
  size_t family() const { return IndexOf(address(0).ip.family()); }

  uint32_t Load(size_t i) const {
    const UsedEndpoint* used = target_.Find(address(i));
    return used == nullptr ? 0 : used->active;
  }
  bool IsUsable(size_t i) const { return IsUntried(i) && !IsPassedOver(i) && allows_(address(i)); }

  // The first one from `start` on, round the end, that is usable; else the first that is merely
  // untried and allowed.
  size_t FirstFrom(size_t start) const {
    size_t passed_over = kNone;
    for (size_t i = 0; i < size(); ++i) {
      const size_t at = (start + i) % size();
      if (!IsUntried(at)) continue;
      const bool is_spare = IsPassedOver(at);
      if (is_spare && passed_over != kNone) continue;
      if (!allows_(address(at))) continue;
      if (!is_spare) return at;
      passed_over = at;
    }
    return passed_over;
  }

 private:
  bool IsUntried(size_t i) const {
    return std::find(tried_.begin(), tried_.end(), address(i)) == tried_.end();
  }
  bool IsPassedOver(size_t i) const {
    const UsedEndpoint* used = target_.Find(address(i));
    return used != nullptr && IsEjected(*used, now_);
  }

  const Route& route_;
  const UsedTarget& target_;
  const std::span<const SocketAddress> tried_;
  const absl::Duration now_;
  const Allows allows_;
};

Balancer::Balancer(BalancerOptions options, ForwarderCounters& counters, uint32_t seed)
    : options_(std::move(options)), counters_(counters), random_(seed) {}
Balancer::~Balancer() = default;

UsedEndpoint* Balancer::Take(const Route& route, std::span<const SocketAddress> tried,
                             absl::Duration now, Allows allows) {
  if (route.endpoints.empty()) return nullptr;
  UsedTarget& target = TargetOf(route);
  const Round round(route, target, tried, now, allows);
  const size_t picked =
      route.policy.affinity_seconds > 0 ? PickAffine(round, target) : Pick(round, target);
  if (picked == Round::kNone) return nullptr;
  auto& endpoint = target.endpoints[round.address(picked)];
  if (endpoint == nullptr) endpoint = FirstUse(route.endpoints[picked], target, now);
  ++endpoint->active;
  endpoint->counted.counters->taken.Add();
  endpoint->among = static_cast<uint32_t>(round.size());
  endpoint->on_trial = endpoint->ejections > 0;
  return endpoint.get();
}

std::unique_ptr<UsedEndpoint> Balancer::FirstUse(const RouteEndpoint& endpoint, UsedTarget& target,
                                                 absl::Duration now) {
  auto used = std::make_unique<UsedEndpoint>();
  used->address = endpoint.address;
  used->target = &target;
  CountedEndpoint& counted = used->counted;
  if (endpoint.endpoint != nullptr) counted.pod = endpoint.endpoint->pod;
  counted.counters = options_.metrics->Open({target.name, used->address, counted.pod}, now);
  return used;
}

UsedTarget& Balancer::TargetOf(const Route& route) {
  auto& target = targets_[route.target.get()];
  if (target == nullptr || target->target.expired()) {
    target = std::make_unique<UsedTarget>();
    target->target = route.target;
    target->name = {route.target->service, route.target->port, route.target->protocol};
    for (size_t& turn : target->turn) turn = random_();
  }
  return *target;
}

size_t Balancer::Pick(const Round& round, UsedTarget& target) {
  const LoadBalancing how = round.route().policy.load_balancing;
  if (how == LoadBalancing::kRandom) return PickRandom(round);
  size_t& turn = target.turn[round.family()];
  size_t picked = round.FirstFrom(turn % round.size());
  if (picked == Round::kNone) return picked;
  turn = picked + 1;
  if (how == LoadBalancing::kRoundRobin || round.Load(picked) == 0) return picked;
  const size_t other = PickRandom(round);
  return round.Load(other) < round.Load(picked) ? other : picked;
}

// Several throws: the one behind a row of endpoints that cannot be used would be picked for all of
// them.
size_t Balancer::PickRandom(const Round& round) {
  constexpr int kThrows = 8;
  for (int i = 1; i < kThrows; ++i) {
    const size_t at = random_() % round.size();
    if (round.IsUsable(at)) return at;
  }
  return round.FirstFrom(random_() % round.size());
}

size_t Balancer::PickAffine(const Round& round, UsedTarget& target) {
  const Route& route = round.route();
  Affinity& affinity = route.target->shared->affinity[round.family()];
  const absl::Duration timeout = absl::Seconds(route.policy.affinity_seconds);
  size_t& last = target.affine[round.family()];
  const auto has_tag = [&](size_t i, Affinity::Tag tag) {
    return i < round.size() && TagOf(round.address(i)) == tag;
  };
  size_t picked = Round::kNone;
  // Again where another worker kept one meanwhile: both are to send to the same.
  constexpr int kAttempts = 3;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Affinity::Kept kept = affinity.Look(round.now(), timeout);
    bool same = false;
    if (kept.endpoint.has_value()) {
      if (!has_tag(last, *kept.endpoint)) {
        last = 0;
        while (last < round.size() && !has_tag(last, *kept.endpoint)) ++last;
      }
      same = last < round.size() && round.IsUsable(last);
    }
    if (same) {
      picked = last;
    } else if (picked == Round::kNone) {
      picked = Pick(round, target);
    }
    if (picked == Round::kNone) return picked;
    if (!affinity.Keep(kept, TagOf(round.address(picked)), round.now())) continue;
    if (same) counters_.affine.Add();
    break;
  }
  last = picked;
  return picked;
}

void Balancer::Succeeded(UsedEndpoint& endpoint) {
  if (endpoint.ejections > 0) {
    counters_.returned.Add();
    endpoint.counted.counters->readmitted.Add();
  }
  endpoint.failures = 0;
  endpoint.ejections = 0;
  endpoint.on_trial = false;
}

void Balancer::Failed(UsedEndpoint& endpoint, absl::Duration now) {
  ++endpoint.failures;
  if (endpoint.ejections > 0) {
    // Others that were under way when it was ejected fail without a consequence.
    if (endpoint.on_trial) Eject(endpoint, now);
  } else if (options_.eject_after > 0 && endpoint.failures >= options_.eject_after) {
    if (MayEject(endpoint)) {
      Eject(endpoint, now);
    } else {
      counters_.spared.Add();
    }
  }
  Release(endpoint);
}

bool Balancer::MayEject(const UsedEndpoint& endpoint) const {
  uint32_t ejected = 1;
  for (const auto& [address, other] : endpoint.target->endpoints) {
    const bool counts = other->ejections > 0 && !other->deleted &&
                        address.ip.family() == endpoint.address.ip.family();
    if (counts) ++ejected;
  }
  return ejected <= endpoint.among / 2;
}

void Balancer::Eject(UsedEndpoint& endpoint, absl::Duration now) {
  constexpr uint32_t kMostDoublings = 20;
  const absl::Duration time =
      options_.eject_for * (1 << std::min(endpoint.ejections, kMostDoublings));
  endpoint.ejected_until = now + std::min(time, options_.eject_at_most);
  if (endpoint.ejections == 0) endpoint.counted.counters->ejected.Add();
  ++endpoint.ejections;
  endpoint.on_trial = false;
  counters_.ejected.Add();
}

void Balancer::Release(UsedEndpoint& endpoint) {
  --endpoint.active;
  endpoint.counted.counters->given_back.Add();
  // A trial that was given up has shown nothing.
  endpoint.on_trial = false;
  if (endpoint.deleted) counters_.endpoint_deleted_ended.Add();
}

std::vector<Balancer::EndpointState> Balancer::Describe(const Route& route,
                                                        absl::Duration now) const {
  std::vector<EndpointState> states;
  const auto found = targets_.find(route.target.get());
  const bool used = found != targets_.end() && !found->second->target.expired();
  const absl::Duration timeout = absl::Seconds(route.policy.affinity_seconds);
  for (const RouteEndpoint& one : route.endpoints) {
    EndpointState& state = states.emplace_back();
    state.address = one.address;
    if (timeout > absl::ZeroDuration()) {
      const Affinity& affinity = route.target->shared->affinity[IndexOf(one.address.ip.family())];
      state.kept = affinity.Look(now, timeout).endpoint == TagOf(one.address);
    }
    const UsedEndpoint* known = used ? found->second->Find(one.address) : nullptr;
    if (known == nullptr) continue;
    state.active = known->active;
    state.failures = known->failures;
    state.ejected = IsEjected(*known, now);
    if (state.ejected) {
      state.ejected_for = std::max(known->ejected_until - now, absl::ZeroDuration());
    }
  }
  return states;
}

void Balancer::Review(const Snapshot& snapshot) {
  absl::erase_if(targets_, [&](auto& entry) {
    UsedTarget& used = *entry.second;
    const auto target = used.target.lock();
    // Its endpoints were given up while connections to them are open: nothing is known of those.
    if (target != nullptr && !snapshot.KnowsSlices(target->service.ToString())) return false;
    absl::flat_hash_set<SocketAddress> addresses;
    if (target != nullptr) addresses = AddressesOf(*target, snapshot);
    absl::erase_if(used.endpoints, [&](auto& one) {
      UsedEndpoint& endpoint = *one.second;
      const bool deleted = !addresses.contains(endpoint.address);
      if (deleted != endpoint.deleted) {
        (deleted ? counters_.endpoint_deleted : counters_.endpoint_deleted_ended)
            .Add(endpoint.active);
        endpoint.deleted = deleted;
      }
      if (!deleted || endpoint.active > 0) return false;
      if (endpoint.ejections > 0) endpoint.counted.counters->readmitted.Add();
      return true;
    });
    return target == nullptr && used.endpoints.empty();
  });
}

}  // namespace portolan::proxy
