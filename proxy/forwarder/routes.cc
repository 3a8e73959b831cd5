#include "proxy/forwarder/routes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

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

uint16_t PortOf(const EndpointSlice& slice, const RouteTarget& target) {
  for (const EndpointPort& port : slice.ports) {
    if (port.name == target.port_name && port.protocol == target.protocol) return port.port;
  }
  return 0;
}

// Slices overlap while the control plane moves endpoints between them.
void AddEndpoints(const EndpointSlice& slice, uint16_t port, bool (*eligible)(const Endpoint&),
                  Route& route, absl::flat_hash_set<SocketAddress>& seen) {
  for (const Endpoint& endpoint : slice.endpoints) {
    if (endpoint.addresses.empty() || !eligible(endpoint)) continue;
    const SocketAddress address{endpoint.addresses.front(), port};
    if (address.ip.family() != slice.family || !seen.insert(address).second) continue;
    route.endpoints.push_back({address, &endpoint});
  }
}

void AddEndpoints(const RouteTarget& target, bool (*eligible)(const Endpoint&), Route& route) {
  absl::flat_hash_set<SocketAddress> seen;
  for (const auto& slice : route.slices) {
    const uint16_t port = PortOf(*slice, target);
    if (port != 0) AddEndpoints(*slice, port, eligible, route, seen);
  }
}

bool IsReady(const Endpoint& endpoint) { return endpoint.conditions.ready; }
bool ServesUntilItEnds(const Endpoint& endpoint) {
  return endpoint.conditions.serving && endpoint.conditions.terminating;
}

std::shared_ptr<const Route> MakeRoute(std::shared_ptr<const RouteTarget> target,
                                       const SliceSet* slices, IpFamily family) {
  auto route = std::make_shared<Route>();
  route->target = std::move(target);
  if (slices != nullptr) {
    route->slices_held = true;
    for (const auto& [name, slice] : *slices) {
      if (slice->family == family) route->slices.push_back(slice);
    }
    AddEndpoints(*route->target, IsReady, *route);
    if (route->endpoints.empty()) AddEndpoints(*route->target, ServesUntilItEnds, *route);
  }
  return route;
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
    if (has_port) return {WithoutSlices(), nullptr};
    if (route == nullptr) return {Match::kNoSuchPort, nullptr};
  }
  if (route == nullptr) return {Match::kNotAService, nullptr};
  if (!(*route)->endpoints.empty()) return {Match::kEndpoints, route};
  return {(*route)->slices_held ? Match::kNoEndpoints : WithoutSlices(), nullptr};
}

const Service* RouteTable::ClusterIpOwner(const IpAddress& ip) const {
  const Service* service = snapshot_->FindServiceByAddress(ip);
  return service != nullptr && HasRoutes(*service) && HasClusterIp(*service, ip) ? service
                                                                                 : nullptr;
}

RouteTable::Match RouteTable::WithoutSlices() const {
  return held_ == EndpointsHeld::kSome ? Match::kEndpointsUnknown : Match::kNoEndpoints;
}

// One call of Apply: the maps under edit, and what must be looked at again at the end.
struct RouteTableBuilder::Update {
  Update(const RouteTable& table, const Snapshot& after)
      : before(table), snapshot(after), routes(table.routes_) {}

  // The Route of a Service's port, made once for all addresses of a family.
  const std::shared_ptr<const Route>& RouteOf(const Service& service, const ServicePort& port,
                                              const Key& key) {
    auto& made = routes_made[std::tuple(service.name.ToString(), port.port, port.protocol,
                                        key.address.ip.family())];
    if (made == nullptr) {
      made = MakeRoute(TargetOf(service, port, key), snapshot.FindSlices(service.name.ToString()),
                       key.address.ip.family());
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
      target = std::make_shared<const RouteTarget>(
          RouteTarget{service.name, port.name, port.port, port.protocol});
    }
    return target;
  }

  const RouteTable& before;
  const Snapshot& snapshot;
  RouteTable::Routes::Edit routes;
  absl::btree_set<Key> disputed;
  std::map<std::tuple<std::string, uint16_t, Protocol, IpFamily>, std::shared_ptr<const Route>>
      routes_made;
  std::map<std::tuple<std::string, uint16_t, Protocol>, std::shared_ptr<const RouteTarget>> targets;
};

RouteTableBuilder::RouteTableBuilder() : table_(std::make_shared<const RouteTable>()) {}

std::shared_ptr<const RouteTable> RouteTableBuilder::Apply(const Directory::Committed& committed,
                                                           EndpointsHeld held) {
  const Snapshot& next = *committed.snapshot;
  absl::btree_set<std::string> affected = committed.changes.services;
  affected.insert(committed.changes.endpoints.begin(), committed.changes.endpoints.end());
  const bool same = snapshot_ == committed.snapshot;
  const bool follows = snapshot_ != nullptr && next.generation() == snapshot_->generation() + 1;
  if (!same && !follows) {
    snapshot_ = std::make_shared<const Snapshot>();
    table_ = std::make_shared<const RouteTable>();
    contested_.clear();
    affected.clear();
    next.ForEachService([&](const Service& service) { affected.insert(service.name.ToString()); });
  }

  Update update(*table_, next);
  for (const std::string& key : affected) {
    const Service* old = snapshot_->FindService(key);
    if (old != nullptr) Withdraw(update, *old, snapshot_->FindSlices(key));
  }
  for (const std::string& key : affected) {
    if (const Service* service = next.FindService(key)) Announce(update, *service);
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
  const SliceSet* slices = update.snapshot.FindSlices(service.name.ToString());
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
