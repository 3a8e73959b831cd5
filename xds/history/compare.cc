#include "xds/history/compare.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "xds/api/codec.h"

namespace portolan::xds {
namespace {

using EndpointsByAddress = absl::flat_hash_map<IpAddress, const Endpoint*>;

// Only the first address counts (model.h), and sources leave no endpoint without one.
IpAddress AddressOf(const Endpoint& endpoint) {
  return endpoint.addresses.empty() ? IpAddress() : endpoint.addresses.front();
}

bool SameButConditions(const Endpoint& a, const Endpoint& b) {
  return AddressOf(a) == AddressOf(b) && a.hostname == b.hostname && a.node_name == b.node_name &&
         a.zone == b.zone && a.zone_hints == b.zone_hints && a.node_hints == b.node_hints &&
         a.pod == b.pod;
}

bool Same(const Endpoint& a, const Endpoint& b) {
  return SameButConditions(a, b) && a.conditions == b.conditions;
}

bool SameButEndpoints(const EndpointSlice& a, const EndpointSlice& b) {
  return a.family == b.family && a.ports == b.ports;
}

bool Same(const EndpointSlice& a, const EndpointSlice& b) {
  return SameButEndpoints(a, b) &&
         std::equal(a.endpoints.begin(), a.endpoints.end(), b.endpoints.begin(), b.endpoints.end(),
                    [](const Endpoint& x, const Endpoint& y) { return Same(x, y); });
}

// What is different, in the words of the API.
std::string Differences(const Service& a, const Service& b) {
  std::string text;
  const auto compare = [&text](bool same, std::string_view what) {
    if (same) return;
    if (!text.empty()) text += ", ";
    text += what;
  };
  compare(a.type == b.type, "type");
  compare(a.headless == b.headless && a.cluster_ips == b.cluster_ips, "clusterIPs");
  compare(a.ports == b.ports, "ports");
  compare(a.extras->external_name == b.extras->external_name, "externalName");
  compare(a.extras->external_ips == b.extras->external_ips, "externalIPs");
  compare(a.extras->load_balancer_ips == b.extras->load_balancer_ips, "load balancer");
  compare(a.publish_not_ready_addresses == b.publish_not_ready_addresses,
          "publishNotReadyAddresses");
  compare(a.session_affinity == b.session_affinity &&
              a.extras->session_affinity_seconds == b.extras->session_affinity_seconds,
          "sessionAffinity");
  compare(a.internal_traffic_policy == b.internal_traffic_policy, "internalTrafficPolicy");
  compare(a.extras->traffic_distribution == b.extras->traffic_distribution, "trafficDistribution");
  compare(*a.labels == *b.labels, "labels");
  compare(a.extras->annotations == b.extras->annotations, "annotations");
  return text;
}

int64_t UnixMs(absl::Time arrived, absl::Time since) {
  return absl::ToUnixMillis(arrived == absl::Time() ? since : arrived);
}

Entry MakeEntry(const ObjectName& name, const Origin& origin, absl::Time when, Cause cause) {
  Entry entry;
  entry.position = {absl::ToUnixMillis(when),
                    std::string(origin.resource_version),
                    name,
                    HistoryKind::kService,
                    {},
                    cause};
  return entry;
}

// What an edit shows of its endpoints, and the cause that this amounts to.
class Shown {
 public:
  explicit Shown(history::Delta& delta) : delta_(delta) {}

  void Add(const Endpoint& endpoint) {
    added_ = true;
    if (delta_.added_size() < kMostShown) return Fill(endpoint, *delta_.add_added());
    delta_.set_more_added(delta_.more_added() + 1);
  }
  void Remove(const Endpoint& endpoint) {
    removed_ = true;
    if (delta_.removed_size() < kMostShown) return Fill(endpoint, *delta_.add_removed());
    delta_.set_more_removed(delta_.more_removed() + 1);
  }
  void Change(const Endpoint& from, const Endpoint& to) {
    const Cause cause = CauseOfFlip(from.conditions, to.conditions);
    if (flip_.value_or(cause) != cause) mixed_ = true;
    flip_ = cause;
    if (delta_.changed_size() == kMostShown) {
      delta_.set_more_changed(delta_.more_changed() + 1);
      return;
    }
    history::ShownChange& change = *delta_.add_changed();
    Fill(to, change);
    change.set_from(ConditionBits(from.conditions));
    change.set_to(ConditionBits(to.conditions));
  }

  // Of a slice that was there before and is there now.
  Cause cause() const {
    if (added_ + removed_ + flip_.has_value() != 1 || mixed_) return Cause::kEndpointsChanged;
    if (added_) return Cause::kScaledUp;
    return removed_ ? Cause::kScaledDown : *flip_;
  }

 private:
  static Cause CauseOfFlip(const EndpointConditions& from, const EndpointConditions& to) {
    if (!from.terminating && to.terminating) return Cause::kPodTerminating;
    if (!from.ready && to.ready) return Cause::kPodReady;
    if (from.ready && !to.ready) return Cause::kPodNotReady;
    return Cause::kEndpointsChanged;
  }

  template <typename Message>
  static void Fill(const Endpoint& endpoint, Message& to) {
    const IpAddress address = AddressOf(endpoint);
    to.set_address(address.bytes().data(), address.bytes().size());
    if (!endpoint.pod.name.empty()) to.set_pod(endpoint.pod.ToString());
  }

  history::Delta& delta_;
  bool added_ = false;
  bool removed_ = false;
  bool mixed_ = false;
  std::optional<Cause> flip_;
};

// The endpoints of the slices that changed, before and after.
struct Around {
  EndpointsByAddress before;
  EndpointsByAddress after;

  const Endpoint* Before(const Endpoint& endpoint) const { return Find(before, endpoint); }
  const Endpoint* After(const Endpoint& endpoint) const { return Find(after, endpoint); }

 private:
  static const Endpoint* Find(const EndpointsByAddress& in, const Endpoint& endpoint) {
    const auto found = in.find(AddressOf(endpoint));
    return found == in.end() ? nullptr : found->second;
  }
};

void ShowNew(const Endpoint& endpoint, const Around& around, Shown& shown) {
  const Endpoint* was = around.Before(endpoint);
  if (was == nullptr) return shown.Add(endpoint);
  if (was->conditions != endpoint.conditions) shown.Change(*was, endpoint);
}

void ShowGone(const Endpoint& endpoint, const Around& around, Shown& shown) {
  if (around.After(endpoint) == nullptr) shown.Remove(endpoint);
}

// The way from one list of endpoints to the other, for Apply in state.cc: what stays keeps its
// order, as in slices that Kubernetes edits, and all else is put at the end.
void Edit(const EndpointSlice& from, const EndpointSlice& to, const Around& around, Shown& shown,
          history::Delta& delta) {
  std::vector<Endpoint> put;
  size_t next = 0;
  for (size_t place = 0; place < from.endpoints.size(); ++place) {
    const Endpoint& old = from.endpoints[place];
    const Endpoint* now = next < to.endpoints.size() ? &to.endpoints[next] : nullptr;
    if (now == nullptr || AddressOf(*now) != AddressOf(old)) {
      delta.add_erased(static_cast<uint32_t>(place));
      ShowGone(old, around, shown);
      continue;
    }
    ++next;
    if (Same(old, *now)) continue;
    shown.Change(old, *now);
    if (SameButConditions(old, *now)) {
      history::Conditions& at = *delta.add_conditions();
      at.set_place(static_cast<uint32_t>(place));
      at.set_conditions(ConditionBits(now->conditions));
    } else {
      delta.add_replaced(static_cast<uint32_t>(place));
      put.push_back(*now);
    }
  }
  for (; next < to.endpoints.size(); ++next) {
    ShowNew(to.endpoints[next], around, shown);
    put.push_back(to.endpoints[next]);
  }
  if (!put.empty()) delta.set_put(api::ToProto(to, to.name.name, put).SerializeAsString());
}

// One of them may be null: there is none.
Entry CompareSlices(const ObjectName& name, const EndpointSlice* before, const EndpointSlice* after,
                    const Around& around, absl::Time since) {
  const EndpointSlice& slice = after != nullptr ? *after : *before;
  Entry entry = MakeEntry(name, slice.origin, since, Cause::kSliceDeleted);
  entry.position.kind = HistoryKind::kEndpointSlice;
  entry.position.slice = slice.name.name;
  Shown shown(entry.delta);
  if (after == nullptr) {
    entry.delta.set_gone(true);
    for (const Endpoint& endpoint : before->endpoints) ShowGone(endpoint, around, shown);
    return entry;
  }
  entry.position.unix_ms = UnixMs(after->origin.arrived, since);
  if (after->triggered > absl::UnixEpoch()) {
    entry.delta.set_triggered_unix_s(absl::ToUnixSeconds(after->triggered));
  }
  if (before == nullptr) {
    entry.position.cause = Cause::kSliceCreated;
    for (const Endpoint& endpoint : after->endpoints) ShowNew(endpoint, around, shown);
  } else {
    Edit(*before, *after, around, shown, entry.delta);
    entry.position.cause = shown.cause();
  }
  if (before == nullptr || !SameButEndpoints(*before, *after)) {
    entry.delta.set_whole(api::ToProto(*after).SerializeAsString());
    if (before != nullptr) {
      entry.delta.set_note("ports");
      entry.position.cause = Cause::kEndpointsChanged;
      entry.delta.clear_conditions();
      entry.delta.clear_replaced();
      entry.delta.clear_erased();
      entry.delta.clear_put();
    }
  }
  return entry;
}

struct SlicePair {
  const EndpointSlice* before = nullptr;
  const EndpointSlice* after = nullptr;
};

// Those that are different, by name.
std::vector<SlicePair> ChangedSlices(const SliceSet* before, const SliceSet* after) {
  static const SliceSet kNone;
  const SliceSet& old = before == nullptr ? kNone : *before;
  const SliceSet& now = after == nullptr ? kNone : *after;
  std::vector<SlicePair> pairs;
  for (const auto& [name, slice] : old) {
    const auto found = now.find(name);
    if (found == now.end()) {
      pairs.push_back({slice.get(), nullptr});
    } else if (found->second != slice && !Same(*found->second, *slice)) {
      pairs.push_back({slice.get(), found->second.get()});
    }
  }
  for (const auto& [name, slice] : now) {
    if (!old.contains(name)) pairs.push_back({nullptr, slice.get()});
  }
  return pairs;
}

void CompareServices(const ObjectName& name, const Service* before, const Service* after,
                     absl::Time since, std::vector<Entry>& entries) {
  if (before == after) return;
  if (after == nullptr) {
    entries.push_back(MakeEntry(name, before->origin, since, Cause::kServiceDeleted));
    return;
  }
  std::string note;
  if (before != nullptr) {
    note = Differences(*before, *after);
    if (note.empty()) return;
  }
  Entry entry = MakeEntry(name, after->origin, since,
                          before == nullptr ? Cause::kServiceCreated : Cause::kServiceEdited);
  entry.position.unix_ms = UnixMs(after->origin.arrived, since);
  entry.delta.set_service(api::ToProto(*after).SerializeAsString());
  entry.delta.set_note(std::move(note));
  entries.push_back(std::move(entry));
}

}  // namespace

std::vector<Entry> Compare(const ObjectName& name, const StateView& before, const StateView& after,
                           absl::Time since) {
  std::vector<Entry> entries;
  CompareServices(name, before.service, after.service, since, entries);
  const std::vector<SlicePair> changed = ChangedSlices(before.slices, after.slices);
  Around around;
  for (const SlicePair& pair : changed) {
    const auto put = [](const EndpointSlice* slice, EndpointsByAddress& into) {
      if (slice == nullptr) return;
      for (const Endpoint& endpoint : slice->endpoints) into[AddressOf(endpoint)] = &endpoint;
    };
    put(pair.before, around.before);
    put(pair.after, around.after);
  }
  for (const SlicePair& pair : changed) {
    entries.push_back(CompareSlices(name, pair.before, pair.after, around, since));
  }
  if (entries.empty()) return entries;
  const EndpointCounts counts = CountEndpoints(after.slices);
  for (Entry& entry : entries) entry.endpoints = counts;
  return entries;
}

Entry FirstSeen(const ObjectName& name, const StateView& state, absl::Time since) {
  const EndpointSlice* slice =
      state.service == nullptr ? state.slices->begin()->second.get() : nullptr;
  const Origin& origin = slice == nullptr ? state.service->origin : slice->origin;
  Entry entry = MakeEntry(name, origin, since, Cause::kFirstSeen);
  entry.position.unix_ms = UnixMs(origin.arrived, since);
  if (slice != nullptr) {
    entry.position.kind = HistoryKind::kEndpointSlice;
    entry.position.slice = slice->name.name;
  }
  entry.endpoints = CountEndpoints(state.slices);
  return entry;
}

}  // namespace portolan::xds
