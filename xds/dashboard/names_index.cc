#include "xds/dashboard/names_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/time/clock.h"
#include "common/monotonic.h"
#include "common/text.h"
#include "directory/listing.h"
#include "xds/dashboard/name_records.h"
#include "xds/dashboard/names_search.h"
#include "xds/history/state.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr absl::Duration kLookAgainEvery = absl::Seconds(5);
// The clock is read after as many names.
constexpr int kBetweenLooks = 8;

bool SameVersion(const Origin& a, const Origin& b) {
  return !a.resource_version.empty() && a.resource_version == b.resource_version;
}

// What was put a second time as it was is not changed.
bool SameService(const Service* a, const Service* b) {
  return a == b || (a != nullptr && b != nullptr && SameVersion(a->origin, b->origin));
}

bool SameSlices(const SliceSet* a, const SliceSet* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return std::equal(a->begin(), a->end(), b->begin(), b->end(), [](const auto& x, const auto& y) {
    return x.first == y.first &&
           (x.second == y.second || SameVersion(x.second->origin, y.second->origin));
  });
}

// Of an object that was there when the program began: when its slices last changed, where the API
// says so, else when they came.
absl::Time LastChange(const Service& service, const SliceSet* slices) {
  absl::Time last = absl::InfinitePast();
  if (slices != nullptr) {
    for (const auto& [name, slice] : *slices) {
      const bool told = slice->triggered != absl::InfinitePast();
      last = std::max(last, told ? slice->triggered : slice->origin.arrived);
    }
  }
  return last == absl::InfinitePast() ? service.origin.arrived : last;
}

size_t NamedEndpoints(const Service& service, const SliceSet* slices) {
  if (!service.headless || slices == nullptr) return 0;
  absl::flat_hash_set<std::string> names;
  for (const auto& [name, slice] : *slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.hostname.empty()) names.insert(endpoint.hostname);
    }
  }
  return names.size();
}

std::string SearchedText(const Service& service, std::string_view cluster_domain) {
  std::string text = DnsName(service.name, cluster_domain);
  text += "\n" + service.extras->external_name;
  for (const IpAddress& address : service.Addresses()) text += "\n" + address.ToString();
  return Lower(text);
}

// As far as a slice that lists it is concerned.
bool SamePod(const Pod* a, const Pod* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->finished == b->finished && a->ips == b->ips;
}

}  // namespace

NamesIndex::NamesIndex(EventLoop& loop, std::string cluster_domain, SidecarDns& dns)
    : cluster_domain_(std::move(cluster_domain)),
      dns_(dns),
      go_on_(loop.AddTimer([this] { Work(); })),
      look_again_(loop.AddTimer([this] { MarkSuspects(); })) {}

void NamesIndex::OnCommit(const Directory::Committed& committed, const AddressIndex& addresses,
                          bool loaded) {
  const std::shared_ptr<const Snapshot> before = std::exchange(snapshot_, committed.snapshot);
  addresses_ = addresses;
  MarkServices(committed, *before, loaded);
  MarkByPods(committed, *before);
  Work();
}

void NamesIndex::OnCorefile() {
  for (const auto& [name, entry] : entries_) Mark(name);
  Work();
}

void NamesIndex::MarkServices(const Directory::Committed& committed, const Snapshot& before,
                              bool loaded) {
  const absl::Time now = absl::Now();
  const auto touch = [&](const ObjectName& name, bool same) {
    Mark(name);
    const auto found = entries_.find(name);
    if (loaded && !same && found != entries_.end()) found->second->touched = now;
  };
  for (const std::string& key : committed.changes.services) {
    const ObjectName name = NameOf(key);
    const Service* service = snapshot_->FindService(key);
    MarkAliasesOf(key);
    if (service == nullptr) {
      Remove(name);
      continue;
    }
    auto& entry = entries_[name];
    if (entry == nullptr) entry = std::make_unique<Entry>();
    entry->name = name;
    touch(name, SameService(before.FindService(key), service));
  }
  for (const std::string& key : committed.changes.endpoints) {
    touch(NameOf(key), SameSlices(before.FindSlices(key), snapshot_->FindSlices(key)));
  }
}

// A pod that is gone, or has other addresses, may leave slices behind that list it.
void NamesIndex::MarkByPods(const Directory::Committed& committed, const Snapshot& before) {
  for (const std::string& key : committed.changes.pods) {
    const Pod* was = before.FindPod(key);
    const Pod* is = snapshot_->FindPod(key);
    if (SamePod(was, is)) continue;
    for (const Pod* pod : {was, is}) {
      if (pod == nullptr) continue;
      for (const IpAddress& ip : pod->ips) {
        for (const std::string& service : addresses_.ServicesAt(ip)) Mark(NameOf(service));
      }
    }
  }
}

void NamesIndex::Mark(const ObjectName& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second->marked) return;
  found->second->marked = true;
  marked_.push_back(name);
}

// And what is an alias of those in turn, as far as aliases are followed.
void NamesIndex::MarkAliasesOf(const std::string& key) {
  std::vector<std::string> targets = {key};
  for (size_t i = 0; i < kMostAliases && !targets.empty(); ++i) {
    std::vector<std::string> aliases;
    for (const std::string& target : targets) {
      const auto found = aliases_.find(target);
      if (found == aliases_.end()) continue;
      for (const ObjectName& name : found->second) {
        Mark(name);
        aliases.push_back(name.ToString());
      }
    }
    targets = std::move(aliases);
  }
}

void NamesIndex::MarkSuspects() {
  for (const ObjectName& name : suspects_) Mark(name);
  Work();
}

void NamesIndex::Remove(const ObjectName& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  SetAddresses(*found->second, {});
  SetAlias(*found->second, {});
  suspects_.erase(name);
  endpoints_ -= found->second->endpoints;
  entries_.erase(found);
}

void NamesIndex::Work() {
  const absl::Duration end = Monotonic() + kAtOnce;
  for (int done = 1; !marked_.empty(); ++done) {
    const ObjectName name = std::move(marked_.front());
    marked_.pop_front();
    const auto found = entries_.find(name);
    // One that was removed and came back may be here twice.
    if (found != entries_.end() && found->second->marked) WorkOut(*found->second);
    if (done % kBetweenLooks == 0 && Monotonic() >= end) break;
  }
  if (!marked_.empty()) return go_on_.Start(absl::ZeroDuration());
  if (!suspects_.empty()) look_again_.Start(kLookAgainEvery);
  for (const auto& task : std::exchange(waiting_, {})) task();
}

void NamesIndex::WorkOut(Entry& entry) {
  entry.marked = false;
  const std::string key = entry.name.ToString();
  const Service* found = snapshot_->FindService(key);
  if (found == nullptr) return;  // a commit will say so
  const Service& service = *found;
  const SliceSet* slices = snapshot_->FindSlices(key);
  SetAddresses(entry, service.Addresses());
  SetAlias(entry, service.type == ServiceType::kExternalName
                      ? ServiceKeyOf(service.extras->external_name, cluster_domain_)
                      : std::string());
  entry.text = SearchedText(service, cluster_domain_);
  entry.last_change = std::max(entry.touched, LastChange(service, slices));

  entry.warnings = json::array();
  entry.warning_bits = 0;
  for (const NameWarning& warning : JudgeWarnings(entry, service)) {
    entry.warning_bits |= 1u << static_cast<unsigned>(warning.code);
    entry.warnings.push_back({{"code", WarningWord(warning.code)}, {"message", warning.message}});
  }
  json out = ServiceJson(*snapshot_, service, cluster_domain_);
  json labels = json::object();
  for (const auto& [label, value] : *service.labels) labels[label] = value;
  out["labels"] = std::move(labels);
  entry.hostnames = NamedEndpoints(service, slices);
  out["hostnames"] = entry.hostnames;
  out["lastChange"] = TimeJson(entry.last_change);
  out["warnings"] = entry.warnings;
  const auto replace = json::error_handler_t::replace;
  entry.json = out.dump(-1, ' ', false, replace);
  entry.json.pop_back();
}

std::vector<NameWarning> NamesIndex::JudgeWarnings(Entry& entry, const Service& service) {
  const SliceSet* slices = snapshot_->FindSlices(entry.name.ToString());
  WarningInput input{*snapshot_, cluster_domain_, CountEndpoints(slices), std::nullopt};
  endpoints_ -= entry.endpoints;
  // A terminating one is as a rule no longer ready, but it serves.
  entry.endpoints = std::max(input.endpoints.ready, input.endpoints.serving);
  endpoints_ += entry.endpoints;

  if (dns_.may_shadow()) input.shadow = dns_.FindShadow(DnsName(entry.name, cluster_domain_));
  for (const IpAddress& address : entry.addresses) {
    for (const Entry* other : by_address_.at(address)) {
      if (other == &entry) continue;
      input.address_claims.push_back(
          fmt::format("{} has {}", other->name.ToString(), address.ToString()));
    }
  }
  std::string stale = StaleEndpoint(*snapshot_, slices);
  if (stale.empty()) {
    entry.stale_since = absl::InfiniteFuture();
    suspects_.erase(entry.name);
  } else {
    const absl::Time now = absl::Now();
    entry.stale_since = std::min(entry.stale_since, now);
    suspects_.insert(entry.name);
    if (now - entry.stale_since >= kStaleAfter) input.stale = std::move(stale);
  }
  return WarningsOf(service, input);
}

void NamesIndex::SetAddresses(Entry& entry, std::vector<IpAddress> addresses) {
  if (entry.addresses == addresses) return;
  const auto mark_others = [&](const auto& holders) {
    for (const Entry* other : holders) {
      if (other != &entry) Mark(other->name);
    }
  };
  for (const IpAddress& address : entry.addresses) {
    const auto holders = by_address_.find(address);
    mark_others(holders->second);
    auto& list = holders->second;
    list.erase(std::remove(list.begin(), list.end(), &entry), list.end());
    if (list.empty()) by_address_.erase(holders);
  }
  for (const IpAddress& address : addresses) {
    auto& list = by_address_[address];
    mark_others(list);
    list.push_back(&entry);
  }
  entry.addresses = std::move(addresses);
}

void NamesIndex::SetAlias(Entry& entry, std::string alias_of) {
  if (entry.alias_of == alias_of) return;
  if (const auto old = aliases_.find(entry.alias_of); old != aliases_.end()) {
    old->second.erase(entry.name);
    if (old->second.empty()) aliases_.erase(old);
  }
  if (!alias_of.empty()) aliases_[alias_of].insert(entry.name);
  entry.alias_of = std::move(alias_of);
}

bool NamesIndex::WhenCurrent(std::function<void()> task) {
  if (marked_.empty()) {
    task();
    return true;
  }
  if (waiting_.size() == kMostWaiting) return false;
  waiting_.push_back(std::move(task));
  return true;
}

const NamesIndex::Entry* NamesIndex::Find(const ObjectName& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.get();
}

NamesIndex::Page NamesIndex::Find(const NamesQuery& query) const {
  const NamesSearch search(query.search, *snapshot_, addresses_);
  const auto matches = [&](const Entry& entry) {
    if (query.any_warning && entry.warning_bits == 0) return false;
    if (query.warning &&
        (entry.warning_bits & (1u << static_cast<unsigned>(*query.warning))) == 0) {
      return false;
    }
    if (!query.label.empty()) {
      const Service* service = snapshot_->FindService(entry.name.ns, entry.name.name);
      if (service == nullptr || !HasLabel(*service->labels, query.label)) return false;
    }
    return search.Matches(entry.name, entry.text);
  };

  Page page;
  std::vector<const Entry*> matching;  // from `after` on
  auto at = query.ns.empty() ? entries_.begin() : entries_.lower_bound({query.ns, ""});
  for (; at != entries_.end() && (query.ns.empty() || at->first.ns == query.ns); ++at) {
    const Entry& entry = *at->second;
    if (!matches(entry)) continue;
    ++page.total;
    if (query.sort == NamesQuery::Sort::kChanged || entry.name > query.after) {
      matching.push_back(&entry);
    }
  }
  const size_t begin = std::min(query.offset, matching.size());
  const size_t end = std::min(begin + query.limit, matching.size());
  const auto nth = [&](size_t i) { return matching.begin() + static_cast<ptrdiff_t>(i); };
  if (query.sort == NamesQuery::Sort::kChanged) {
    std::partial_sort(nth(0), nth(end), matching.end(), [](const Entry* a, const Entry* b) {
      return a->last_change != b->last_change ? a->last_change > b->last_change : a->name < b->name;
    });
  }
  page.entries.assign(nth(begin), nth(end));
  page.more = end < matching.size();
  return page;
}

}  // namespace portolan::xds
