#include "xds/serving/envoy_cache.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "xds/serving/envoy_resources.h"

namespace portolan::xds {
namespace {

size_t At(ResourceType type) { return static_cast<size_t>(type); }

// The names that lead elsewhere than before, or that are there on one side only.
std::set<std::string> Differing(const std::map<std::string, std::string>& before,
                                const std::map<std::string, std::string>& after) {
  std::set<std::string> names;
  const auto add_missing = [&](const auto& from, const auto& in) {
    for (const auto& [name, cluster] : from) {
      const auto found = in.find(name);
      if (found == in.end() || found->second != cluster) names.insert(name);
    }
  };
  add_missing(before, after);
  add_missing(after, before);
  return names;
}

}  // namespace

ResourcePtr EnvoyCache::Find(ResourceType type, std::string_view name,
                             const Snapshot& snapshot) const {
  ResourcePtr held = state_.With([&](State& state) -> ResourcePtr {
    const auto found = state.entries[At(type)].find(name);
    if (found == state.entries[At(type)].end()) return nullptr;
    found->second.used = true;
    return found->second.resource;
  });
  if (held != nullptr) return held;
  ResourcePtr made = EncodeEnvoyResource(type, name, names_, snapshot);
  if (made == nullptr) return nullptr;
  return state_.With([&](State& state) {
    // Who is still at an earlier snapshot gets what it had then, and leaves it to itself.
    if (state.generation != snapshot.generation()) return made;
    return state.entries[At(type)].try_emplace(made->name, Entry{made}).first->second.resource;
  });
}

void EnvoyCache::AddNames(const Service& service, ChangedResources& to) const {
  for (const ResourceType type : {ResourceType::kCluster, ResourceType::kLoadAssignment,
                                  ResourceType::kListener, ResourceType::kRoute}) {
    for (const auto& [name, cluster] : names_.NamesOf(type, service)) {
      to[At(type)].push_back(name);
    }
  }
}

void EnvoyCache::Follow(const Snapshot& before, const Directory::Committed& committed,
                        ChangedResources& changed) {
  const Snapshot& snapshot = *committed.snapshot;
  state_.With([&](State& state) { state.generation = snapshot.generation(); });
  FollowNodes(before, committed, changed);
  const auto& services = committed.changes.services;
  for (const std::string& key : services) {
    FollowService(before.FindService(key), snapshot.FindService(key), snapshot, changed);
  }
  for (const std::string& key : committed.changes.endpoints) {
    const Service* service = snapshot.FindService(key);
    if (service == nullptr || services.contains(key)) continue;
    for (const auto& [name, cluster] : names_.NamesOf(ResourceType::kLoadAssignment, *service)) {
      if (Refresh(ResourceType::kLoadAssignment, name, snapshot)) {
        changed[At(ResourceType::kLoadAssignment)].push_back(name);
      }
    }
  }
}

// A region that becomes known or another is rare, and all that somebody holds is looked at.
void EnvoyCache::FollowNodes(const Snapshot& before, const Directory::Committed& committed,
                             ChangedResources& changed) {
  const auto region_in = [](const Snapshot& snapshot, const std::string& name) {
    const Node* node = snapshot.FindNode(name);
    return node == nullptr ? std::string() : node->region;
  };
  const Snapshot& snapshot = *committed.snapshot;
  const auto& nodes = committed.changes.nodes;
  if (std::none_of(nodes.begin(), nodes.end(), [&](const std::string& name) {
        return region_in(before, name) != region_in(snapshot, name);
      })) {
    return;
  }
  std::vector<std::string> names;
  state_.With([&](State& state) {
    for (const auto& [name, entry] : state.entries[At(ResourceType::kLoadAssignment)]) {
      names.push_back(name);
    }
  });
  for (const std::string& name : names) {
    if (Refresh(ResourceType::kLoadAssignment, name, snapshot)) {
      changed[At(ResourceType::kLoadAssignment)].push_back(name);
    }
  }
}

void EnvoyCache::FollowService(const Service* before, const Service* after,
                               const Snapshot& snapshot, ChangedResources& changed) {
  const auto names_of = [&](ResourceType type, const Service* service) {
    return service == nullptr ? std::map<std::string, std::string>()
                              : names_.NamesOf(type, *service);
  };
  for (const ResourceType type :
       {ResourceType::kCluster, ResourceType::kListener, ResourceType::kRoute}) {
    for (const std::string& name : Differing(names_of(type, before), names_of(type, after))) {
      if (Refresh(type, name, snapshot)) changed[At(type)].push_back(name);
    }
  }
  // Of these not the names alone count: ports lead to endpoints by their own names.
  auto assignments = names_of(ResourceType::kLoadAssignment, before);
  assignments.merge(names_of(ResourceType::kLoadAssignment, after));
  for (const auto& [name, cluster] : assignments) {
    if (Refresh(ResourceType::kLoadAssignment, name, snapshot)) {
      changed[At(ResourceType::kLoadAssignment)].push_back(name);
    }
  }
}

bool EnvoyCache::Refresh(ResourceType type, const std::string& name, const Snapshot& snapshot) {
  const auto held = state_.With([&](State& state) -> Entry {
    auto& entries = state.entries[At(type)];
    const auto found = entries.find(name);
    if (found == entries.end()) return {nullptr};
    Entry entry = found->second;
    if (!entry.used) entries.erase(found);
    return entry;
  });
  if (held.resource == nullptr || !held.used) return true;
  const ResourcePtr now = EncodeEnvoyResource(type, name, names_, snapshot);
  if (now != nullptr && now->version == held.resource->version) return false;
  state_.With([&](State& state) {
    if (now == nullptr) {
      state.entries[At(type)].erase(name);
    } else {
      state.entries[At(type)].insert_or_assign(name, Entry{now, false});
    }
  });
  return true;
}

}  // namespace portolan::xds
