#include "proxy/forwarder/routes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "common/log.h"
#include "directory/service_key.h"

namespace portolan::proxy {
namespace {

// Headless Services have no address to forward for, not even an external one: kube-proxy skips them
// and ExternalName Services alike.
bool HasRoutes(const Service& service) {
  return service.type != ServiceType::kExternalName && !service.headless;
}

bool HasClusterIp(const Service& service, const IpAddress& ip) {
  return std::find(service.cluster_ips.begin(), service.cluster_ips.end(), ip) !=
         service.cluster_ips.end();
}

std::shared_ptr<const Route> MakeRoute(std::shared_ptr<const RouteTarget> target,
                                       const SliceSet* slices, IpFamily family,
                                       const RoutePolicy& policy, TrafficPolicy traffic_policy,
                                       const Place& here) {
  auto route = std::make_shared<Route>();
  route->target = std::move(target);
  route->policy = policy;
  if (slices == nullptr) return route;
  route->slices_held = true;
  for (const auto& [name, slice] : *slices) {
    if (slice->family == family) route->slices.push_back(slice);
  }
  const std::vector<RouteEndpoint> all =
      EndpointsForPort(route->slices, route->target->port_name, route->target->protocol);
  route->endpoints = EligibleEndpoints(all, traffic_policy, here);
  route->elsewhere_only =
      route->endpoints.empty() && !EligibleEndpoints(all, TrafficPolicy::kCluster, here).empty();
  return route;
}

// Null where there are none, whether that is known or not.
const SliceSet* SlicesOf(const Snapshot& snapshot, const std::string& service_key) {
  const SliceSet* slices = snapshot.FindSlices(service_key);
  return slices == nullptr || slices->empty() ? nullptr : slices;
}

void Log(const std::vector<std::string>& faults) {
  for (const std::string& fault : faults) log::warn("{}", fault);
}

bool IsFirstOfItsKind(const Service& service, const ServicePort& port) {
  const auto first =
      std::find_if(service.ports.begin(), service.ports.end(), [&](const ServicePort& other) {
        return other.port == port.port && other.protocol == port.protocol;
      });
  return &*first == &port;
}

// A repeated port (an API server refuses it, a manifest file may hold it) counts once.
template <typename Visit>
void ForEachPort(const Service& service, Visit&& visit) {
  if (!HasRoutes(service)) return;
  for (const ServicePort& port : service.ports) {
    if (port.port != 0 && IsFirstOfItsKind(service, port)) visit(port);
  }
}

// Of the addresses of a Service without slices those alone that are not its cluster IPs: the
// snapshot has the others.
template <typename Visit>
void ForEachRouted(const Service& service, const SliceSet* slices, Visit&& visit) {
  const std::vector<IpAddress> addresses = service.Addresses();
  ForEachPort(service, [&](const ServicePort& port) {
    for (const IpAddress& ip : addresses) {
      if (slices != nullptr || !HasClusterIp(service, ip)) visit(ip, port);
    }
  });
}

}  // namespace

bool RouteTarget::TakeUse(absl::Duration affinity, absl::Duration now) const {
  const bool used = shared->used.exchange(false, std::memory_order_relaxed);
  const auto binds = [&](const Affinity& kept) {
    return affinity > absl::ZeroDuration() && kept.Look(now, affinity).endpoint.has_value();
  };
  return used || shared->connections.load(std::memory_order_relaxed) > 0 ||
         std::any_of(shared->affinity.begin(), shared->affinity.end(), binds);
}

RouteTable::RouteTable() : snapshot_(std::make_shared<const Snapshot>()) {}

RouteTable::Lookup RouteTable::Find(const SocketAddress& dialled, Protocol protocol) const {
  const auto* route = routes_.Find(Key{dialled, protocol});
  const Service* owner = ClusterIpOwner(dialled.ip);
  if (owner != nullptr && (route == nullptr || (*route)->target->service != owner->name)) {
    const bool has_port =
        std::any_of(owner->ports.begin(), owner->ports.end(), [&](const ServicePort& port) {
          return port.port == dialled.port && port.protocol == protocol;
        });
    // Nobody else's address, whatever others call theirs.
    if (has_port) return {WithoutSlices(owner->name), nullptr, &owner->name};
    if (route == nullptr) return {Match::kNoSuchPort, nullptr, &owner->name};
  }
  if (route == nullptr) return {};
  const ObjectName* service = &(*route)->target->service;
  if (!(*route)->endpoints.empty()) return {Match::kEndpoints, route, service};
  if ((*route)->elsewhere_only) return {Match::kNoLocalEndpoints, nullptr, service};
  return {(*route)->slices_held ? Match::kNoEndpoints : WithoutSlices(*service), nullptr, service};
}

bool RouteTable::TakeUse(const Service& service, absl::Duration now) const {
  const absl::Duration affinity = absl::Seconds(PolicyOf(service).affinity_seconds);
  const std::vector<IpAddress> addresses = service.Addresses();
  bool used = false;
  ForEachPort(service, [&](const ServicePort& port) {
    for (const IpAddress& ip : addresses) {
      const auto* route = routes_.Find(Key{{ip, port.port}, port.protocol});
      const bool is_own = route != nullptr && (*route)->target->service == service.name;
      if (is_own && (*route)->target->TakeUse(affinity, now)) used = true;
    }
  });
  return used;
}

const Service* RouteTable::ClusterIpOwner(const IpAddress& ip) const {
  const Service* service = snapshot_->FindServiceByAddress(ip);
  return service != nullptr && HasRoutes(*service) && HasClusterIp(*service, ip) ? service
                                                                                 : nullptr;
}

RouteTable::Match RouteTable::WithoutSlices(const ObjectName& service) const {
  const bool is_known =
      held_ == EndpointsHeld::kAll || snapshot_->FindSlices(ServiceKey(service).view()) != nullptr;
  return is_known ? Match::kNoEndpoints : Match::kEndpointsUnknown;
}

// One call of Apply: the maps under edit, and what must be looked at again at the end.
struct RouteTableBuilder::Update {
  Update(const RouteTable& table, const Snapshot& after, const Place& place)
      : before(table), snapshot(after), here(place), routes(table.routes_) {}

  // The Route of a Service's port, made once for all addresses of a family that are treated alike:
  // internalTrafficPolicy is for cluster IPs alone, and what pods send to an external address
  // kube-proxy spreads over the cluster.
  const std::shared_ptr<const Route>& RouteOf(const Service& service, const ServicePort& port,
                                              const Key& key) {
    const TrafficPolicy traffic_policy = HasClusterIp(service, key.address.ip)
                                             ? service.internal_traffic_policy
                                             : TrafficPolicy::kCluster;
    auto& made = routes_made[std::tuple(service.name.ToString(), port.port, port.protocol,
                                        key.address.ip.family(), traffic_policy)];
    if (made == nullptr) {
      made = MakeRoute(TargetOf(service, port, key), SlicesOf(snapshot, service.name.ToString()),
                       key.address.ip.family(), PolicyOf(service), traffic_policy, here);
    }
    return made;
  }

  std::shared_ptr<const RouteTarget> TargetOf(const Service& service, const ServicePort& port,
                                              const Key& key) {
    auto& target = targets[std::tuple(service.name.ToString(), port.port, port.protocol)];
    if (target != nullptr) return target;
    if (const auto* old = before.routes_.Find(key)) {
      const RouteTarget& known = *(*old)->target;
      if (known.service == service.name && known.port_name == port.name) target = (*old)->target;
    }
    if (target == nullptr) {
      target.reset(new RouteTarget{service.name, port.name, port.port, port.protocol});
    }
    return target;
  }

  const RouteTable& before;
  const Snapshot& snapshot;
  const Place& here;
  RouteTable::Routes::Edit routes;
  absl::btree_set<Key> disputed;
  std::map<std::tuple<std::string, uint16_t, Protocol, IpFamily, TrafficPolicy>,
           std::shared_ptr<const Route>>
      routes_made;
  std::map<std::tuple<std::string, uint16_t, Protocol>, std::shared_ptr<const RouteTarget>> targets;
};

RouteTableBuilder::RouteTableBuilder(Place here)
    : here_(std::move(here)), table_(std::make_shared<const RouteTable>()) {}

void RouteTableBuilder::MoveTo(Place here) {
  here_ = std::move(here);
  moved_ = true;
}

std::shared_ptr<const RouteTable> RouteTableBuilder::Apply(const Directory::Committed& committed,
                                                           EndpointsHeld held) {
  const Snapshot& next = *committed.snapshot;
  absl::btree_set<std::string> affected = committed.changes.services;
  affected.insert(committed.changes.endpoints.begin(), committed.changes.endpoints.end());
  const bool same = snapshot_ == committed.snapshot;
  const bool follows = snapshot_ != nullptr && next.generation() == snapshot_->generation() + 1;
  const bool rebuilt = !same && !follows;
  if (rebuilt) {
    snapshot_ = std::make_shared<const Snapshot>();
    table_ = std::make_shared<const RouteTable>();
    contested_.clear();
    affected.clear();
  }
  if (std::exchange(moved_, false) || rebuilt) {
    next.ForEachService([&](const Service& service) { affected.insert(service.name.ToString()); });
  }

  Update update(*table_, next, here_);
  for (const std::string& key : affected) {
    const Service* old = snapshot_->FindService(key);
    if (old != nullptr) Withdraw(update, *old, SlicesOf(*snapshot_, key));
  }
  for (const std::string& key : affected) {
    const Service* service = next.FindService(key);
    if (service == nullptr) continue;
    Announce(update, *service);
    const bool is_new = rebuilt || committed.changes.services.contains(key);
    if (is_new) Log(PolicyFaults(*service));
  }
  Settle(update);

  auto table = std::make_shared<RouteTable>();
  table->routes_ = std::move(update.routes).Finish();
  table->snapshot_ = committed.snapshot;
  table->held_ = held;
  table_ = std::move(table);
  snapshot_ = committed.snapshot;
  return table_;
}

void RouteTableBuilder::Withdraw(Update& update, const Service& service, const SliceSet* slices) {
  ForEachRouted(service, slices, [&](const IpAddress& ip, const ServicePort& port) {
    const Key key{{ip, port.port}, port.protocol};
    const auto contest = contested_.find(key);
    if (contest == contested_.end()) {
      update.routes.Erase(key);
    } else {
      std::erase(contest->second, service.name.ToString());
      update.disputed.insert(key);
    }
  });
}

void RouteTableBuilder::Announce(Update& update, const Service& service) {
  const SliceSet* slices = SlicesOf(update.snapshot, service.name.ToString());
  ForEachRouted(service, slices, [&](const IpAddress& ip, const ServicePort& port) {
    const Key key{{ip, port.port}, port.protocol};
    const auto contest = contested_.find(key);
    if (contest != contested_.end()) {
      contest->second.push_back(service.name.ToString());
      update.disputed.insert(key);
    } else if (const auto* other = update.routes.Find(key)) {
      contested_[key] = {(*other)->target->service.ToString(), service.name.ToString()};
      update.disputed.insert(key);
    } else {
      update.routes.Set(key, update.RouteOf(service, port, key));
    }
  });
}

void RouteTableBuilder::Settle(Update& update) {
  for (const Key& key : update.disputed) {
    const auto contest = contested_.find(key);
    const Service* winner = nullptr;
    for (const std::string& claimant : contest->second) {
      const Service* service = update.snapshot.FindService(claimant);
      const auto rank = [&](const Service& s) {
        return std::tuple(!HasClusterIp(s, key.address.ip), s.name);
      };
      if (winner == nullptr || rank(*service) < rank(*winner)) winner = service;
    }
    if (contest->second.size() < 2) contested_.erase(contest);
    if (winner == nullptr) {
      update.routes.Erase(key);
      continue;
    }
    ForEachPort(*winner, [&](const ServicePort& port) {
      if (port.port != key.address.port || port.protocol != key.protocol) return;
      update.routes.Set(key, update.RouteOf(*winner, port, key));
    });
  }
}

}  // namespace portolan::proxy
