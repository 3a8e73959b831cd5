#include "directory/directory.h"

#include <algorithm>
#include <utility>

namespace portolan {
namespace {

template <typename Map>
auto* Get(const Map& map, std::string_view key) {
  const auto* found = map.Find(key);
  return found == nullptr ? nullptr : found->get();
}

}  // namespace

const Namespace* Snapshot::FindNamespace(std::string_view name) const {
  return Get(namespaces_, name);
}
const Service* Snapshot::FindService(std::string_view key) const { return Get(services_, key); }
const SliceSet* Snapshot::FindSlices(std::string_view key) const { return Get(slices_, key); }
const Pod* Snapshot::FindPod(std::string_view key) const { return Get(pods_, key); }

const Service* Snapshot::FindServiceByAddress(const IpAddress& ip) const {
  const auto* found = service_addresses_.Find(ip);
  return found == nullptr ? nullptr : found->get();
}

struct Directory::Edits {
  explicit Edits(const Snapshot& from)
      : namespaces(from.namespaces_),
        services(from.services_),
        slices(from.slices_),
        pods(from.pods_),
        addresses(from.service_addresses_) {}

  Snapshot::ByName<Namespace>::Edit namespaces;
  Snapshot::ByName<Service>::Edit services;
  Snapshot::ByName<SliceSet>::Edit slices;
  Snapshot::ByName<Pod>::Edit pods;
  decltype(Snapshot::service_addresses_)::Edit addresses;
};

Directory::Directory() : current_(std::make_shared<const Snapshot>()) {}
Directory::~Directory() = default;

Directory::Edits& Directory::edits() {
  if (edits_ == nullptr) edits_ = std::make_unique<Edits>(*current_);
  return *edits_;
}

void Directory::Put(Namespace ns) {
  pending_.namespaces.insert(ns.name);
  auto shared = std::make_shared<const Namespace>(std::move(ns));
  edits().namespaces.Set(shared->name, shared);
}

void Directory::RemoveNamespace(std::string_view name) {
  if (edits().namespaces.Erase(name)) pending_.namespaces.insert(std::string(name));
}

void Directory::Put(Service service) {
  auto shared = std::make_shared<const Service>(std::move(service));
  const std::string key = shared->name.ToString();
  pending_.services.insert(key);
  const std::vector<IpAddress> claimed = shared->Addresses();
  if (const auto* old = edits().services.Find(key)) {
    for (const IpAddress& ip : (*old)->Addresses()) {
      if (!std::binary_search(claimed.begin(), claimed.end(), ip)) Disclaim(ip, key);
    }
  }
  edits().services.Set(key, shared);
  for (const IpAddress& ip : claimed) {
    auto& claims = address_claims_[ip];
    if (std::find(claims.begin(), claims.end(), key) == claims.end()) claims.push_back(key);
    if (claims.front() == key) edits().addresses.Set(ip, shared);
  }
}

void Directory::RemoveService(const ObjectName& name) {
  const std::string key = name.ToString();
  const auto* old = edits().services.Find(key);
  if (old == nullptr) return;
  pending_.services.insert(key);
  for (const IpAddress& ip : (*old)->Addresses()) Disclaim(ip, key);
  edits().services.Erase(key);
}

void Directory::Disclaim(const IpAddress& ip, const std::string& key) {
  const auto claims = address_claims_.find(ip);
  if (claims == address_claims_.end()) return;
  std::erase(claims->second, key);
  if (claims->second.empty()) {
    address_claims_.erase(claims);
    edits().addresses.Erase(ip);
  } else if (const auto* next = edits().services.Find(claims->second.front())) {
    edits().addresses.Set(ip, *next);
  }
}

void Directory::Put(EndpointSlice slice) {
  const std::string slice_key = slice.name.ToString();
  const std::string home =
      slice.service.empty() ? std::string() : slice.name.ns + "/" + slice.service;
  const auto at = slice_home_.find(slice_key);
  if (at != slice_home_.end() && at->second != home) RemoveSlice(slice.name);
  if (home.empty()) return;
  slice_home_.insert_or_assign(slice_key, home);
  pending_.endpoints.insert(home);
  const auto* old = edits().slices.Find(home);
  auto next = old == nullptr ? std::make_shared<SliceSet>() : std::make_shared<SliceSet>(**old);
  const std::string name = slice.name.name;
  (*next)[name] = std::make_shared<const EndpointSlice>(std::move(slice));
  edits().slices.Set(home, std::move(next));
}

void Directory::RemoveSlice(const ObjectName& name) {
  const auto at = slice_home_.find(name.ToString());
  if (at == slice_home_.end()) return;
  const std::string home = at->second;
  slice_home_.erase(at);
  pending_.endpoints.insert(home);
  auto next = std::make_shared<SliceSet>(**edits().slices.Find(home));
  next->erase(name.name);
  if (next->empty()) {
    edits().slices.Erase(home);
  } else {
    edits().slices.Set(home, std::move(next));
  }
}

void Directory::Put(Pod pod) {
  auto shared = std::make_shared<const Pod>(std::move(pod));
  const std::string key = shared->name.ToString();
  pending_.pods.insert(key);
  edits().pods.Set(key, shared);
}

void Directory::RemovePod(const ObjectName& name) {
  std::string key = name.ToString();
  if (edits().pods.Erase(key)) pending_.pods.insert(std::move(key));
}

Directory::Committed Directory::Commit() {
  if (pending_.empty()) {
    edits_.reset();
    return {current_, {}};
  }
  auto next = std::make_shared<Snapshot>();
  next->generation_ = current_->generation_ + 1;
  Edits& edited = edits();
  next->namespaces_ = std::move(edited.namespaces).Finish();
  next->services_ = std::move(edited.services).Finish();
  next->slices_ = std::move(edited.slices).Finish();
  next->pods_ = std::move(edited.pods).Finish();
  next->service_addresses_ = std::move(edited.addresses).Finish();
  edits_.reset();
  current_ = std::move(next);
  return {current_, std::exchange(pending_, {})};
}

}  // namespace portolan
