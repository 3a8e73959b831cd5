#include "xds/serving/address_index.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace portolan::xds {
namespace {

std::vector<IpAddress> ClaimsOf(const Pod* pod) {
  if (pod == nullptr || pod->finished || pod->host_network) return {};
  return pod->ips;
}

bool Precedes(const Pod& a, const Pod& b) {
  return std::tie(a.created, a.name) < std::tie(b.created, b.name);
}

bool SameOwner(const Pod* a, const Pod* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->name == b->name && a->node_name == b->node_name;
}

// Nodes that are in another zone now.
absl::flat_hash_set<std::string> MovedNodes(const Snapshot& before,
                                            const Directory::Committed& committed) {
  const auto zone = [](const Node* node) { return node == nullptr ? "" : node->zone; };
  absl::flat_hash_set<std::string> moved;
  for (const std::string& name : committed.changes.nodes) {
    if (zone(before.FindNode(name)) != zone(committed.snapshot->FindNode(name))) {
      moved.insert(name);
    }
  }
  return moved;
}

template <typename Edit>
void AddClaim(Edit& edit, const IpAddress& ip, const std::string& key) {
  const auto* others = edit.Find(ip);
  std::vector<std::string> keys = others == nullptr ? std::vector<std::string>() : *others;
  if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  edit.Set(ip, std::move(keys));
}

template <typename Edit>
void RemoveClaim(Edit& edit, const IpAddress& ip, const std::string& key) {
  const auto* named = edit.Find(ip);
  if (named == nullptr) return;  // a pod may list an address twice
  std::vector<std::string> keys = *named;
  std::erase(keys, key);
  if (keys.empty()) {
    edit.Erase(ip);
  } else {
    edit.Set(ip, std::move(keys));
  }
}

using Addresses = absl::flat_hash_set<IpAddress>;

void AddAddresses(const EndpointSlice& slice, Addresses* to) {
  for (const Endpoint& endpoint : slice.endpoints) {
    if (!endpoint.addresses.empty()) to->insert(endpoint.addresses.front());
  }
}

Addresses AllAddresses(const SliceSet& slices) {
  Addresses all;
  for (const auto& [name, slice] : slices) AddAddresses(*slice, &all);
  return all;
}

bool Lists(const EndpointSlice& slice, const IpAddress& ip) {
  return std::any_of(slice.endpoints.begin(), slice.endpoints.end(), [&](const Endpoint& one) {
    return !one.addresses.empty() && one.addresses.front() == ip;
  });
}

bool IsListed(const SliceSet& slices, const IpAddress& ip) {
  return std::any_of(slices.begin(), slices.end(),
                     [&](const auto& entry) { return Lists(*entry.second, ip); });
}

std::vector<EndpointPort> PortsAt(const IpAddress& ip, const SliceSet& slices) {
  std::vector<EndpointPort> ports;
  for (const auto& [name, slice] : slices) {
    if (slice->family != ip.family() || !Lists(*slice, ip)) continue;
    ports.insert(ports.end(), slice->ports.begin(), slice->ports.end());
  }
  const auto order = [](const EndpointPort& port) {
    return std::tie(port.port, port.protocol, port.name);
  };
  std::sort(ports.begin(), ports.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return ports;
}

// What the slices of one Service that differ between two sets of them hold.
struct Difference {
  Addresses before;
  Addresses after;
  bool other_ports = false;  // an address in both may be reached by other ports now

  Difference(const SliceSet& old_slices, const SliceSet& new_slices) {
    for (const auto& [name, slice] : old_slices) {
      const auto same = new_slices.find(name);
      if (same != new_slices.end() && same->second == slice) continue;
      AddAddresses(*slice, &before);
      other_ports |= same == new_slices.end() || same->second->ports != slice->ports;
    }
    for (const auto& [name, slice] : new_slices) {
      const auto same = old_slices.find(name);
      if (same != old_slices.end() && same->second == slice) continue;
      AddAddresses(*slice, &after);
      other_ports |= same == old_slices.end();
    }
  }
};

const SliceSet& SlicesOrNone(const Snapshot& snapshot, const std::string& key) {
  static const SliceSet kNone;
  const SliceSet* slices = snapshot.FindSlices(key);
  return slices == nullptr ? kNone : *slices;
}

// One that was made an ExternalName keeps the slices it had, and they mean nothing.
bool HasEndpoints(const Service* service) {
  return service != nullptr && service->type != ServiceType::kExternalName;
}

// As far as an address tells of it.
bool IsShownAlike(const Service* a, const Service* b) {
  if (!HasEndpoints(a) || !HasEndpoints(b)) return HasEndpoints(a) == HasEndpoints(b);
  return a->headless == b->headless;
}

}  // namespace

AddressIndex::AddressIndex() : snapshot_(std::make_shared<const Snapshot>()) {}

const Pod* AddressIndex::FindOwner(const IpAddress& ip) const {
  const Pod* owner = nullptr;
  const std::vector<std::string>* keys = pods_.Find(ip);
  if (keys == nullptr) return nullptr;
  for (const std::string& key : *keys) {
    const Pod* pod = snapshot_->FindPod(key);
    if (pod != nullptr && (owner == nullptr || Precedes(*owner, *pod))) owner = pod;
  }
  return owner;
}

std::vector<AddressService> AddressIndex::FindServices(
    const IpAddress& ip, absl::FunctionRef<bool(const std::string& service_key)> wanted) const {
  std::vector<AddressService> found;
  const std::vector<std::string>* keys = services_.Find(ip);
  if (keys == nullptr) return found;
  for (const std::string& key : *keys) {
    const Service* service = snapshot_->FindService(key);
    if (!HasEndpoints(service) || !wanted(key)) continue;
    found.push_back({service->name, service->headless, {}});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(b.headless, a.name) < std::tie(a.headless, b.name);
  });
  if (found.size() > AddressOwner::kMostServices) found.resize(AddressOwner::kMostServices);
  for (AddressService& service : found) {
    service.ports = PortsAt(ip, SlicesOrNone(*snapshot_, service.name.ToString()));
  }
  return found;
}

AddressIndex AddressIndex::Next(const Directory::Committed& committed,
                                std::vector<std::string>* changed) const {
  AddressIndex next;
  next.snapshot_ = committed.snapshot;
  next.pods_ = pods_;
  next.services_ = services_;
  std::set<IpAddress> differ;
  FollowPods(committed, next, differ);
  FollowNodes(committed, differ);
  FollowServices(committed, next, differ);
  for (const IpAddress& ip : differ) changed->push_back(ip.ToString());
  return next;
}

void AddressIndex::FollowPods(const Directory::Committed& committed, AddressIndex& next,
                              std::set<IpAddress>& changed) const {
  if (committed.changes.pods.empty()) return;
  Claims::Edit edit(pods_);
  std::set<IpAddress> touched;
  for (const std::string& key : committed.changes.pods) {
    for (const IpAddress& ip : ClaimsOf(snapshot_->FindPod(key))) {
      RemoveClaim(edit, ip, key);
      touched.insert(ip);
    }
    for (const IpAddress& ip : ClaimsOf(committed.snapshot->FindPod(key))) {
      AddClaim(edit, ip, key);
      touched.insert(ip);
    }
  }
  next.pods_ = std::move(edit).Finish();
  for (const IpAddress& ip : touched) {
    if (!SameOwner(FindOwner(ip), next.FindOwner(ip))) changed.insert(ip);
  }
}

// A node's zone is set when it joins and hardly ever again.
void AddressIndex::FollowNodes(const Directory::Committed& committed,
                               std::set<IpAddress>& changed) const {
  const auto moved = MovedNodes(*snapshot_, committed);
  if (moved.empty()) return;
  committed.snapshot->ForEachPod([&](const Pod& pod) {
    if (!moved.contains(pod.node_name)) return;
    for (const IpAddress& ip : ClaimsOf(&pod)) changed.insert(ip);
  });
}

void AddressIndex::FollowServices(const Directory::Committed& committed, AddressIndex& next,
                                  std::set<IpAddress>& changed) const {
  const Snapshot& snapshot = *committed.snapshot;
  if (!committed.changes.endpoints.empty()) {
    Claims::Edit edit(services_);
    for (const std::string& key : committed.changes.endpoints) {
      const SliceSet& slices = SlicesOrNone(snapshot, key);
      const Difference difference(SlicesOrNone(*snapshot_, key), slices);
      for (const IpAddress& ip : difference.before) {
        if (difference.other_ports) changed.insert(ip);
        if (difference.after.contains(ip) || IsListed(slices, ip)) continue;
        RemoveClaim(edit, ip, key);
        changed.insert(ip);
      }
      for (const IpAddress& ip : difference.after) {
        const bool is_new = !difference.before.contains(ip);
        if (is_new) AddClaim(edit, ip, key);
        if (is_new || difference.other_ports) changed.insert(ip);
      }
    }
    next.services_ = std::move(edit).Finish();
  }
  for (const std::string& key : committed.changes.services) {
    if (IsShownAlike(snapshot_->FindService(key), snapshot.FindService(key))) continue;
    for (const IpAddress& ip : AllAddresses(SlicesOrNone(snapshot, key))) changed.insert(ip);
  }
}

}  // namespace portolan::xds
