#include "xds/serving/address_index.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

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
  return a->name == b->name;
}

}  // namespace

AddressIndex::AddressIndex() : snapshot_(std::make_shared<const Snapshot>()) {}

const Pod* AddressIndex::FindOwner(const IpAddress& ip) const {
  const Pod* owner = nullptr;
  const std::vector<std::string>* keys = claims_.Find(ip);
  if (keys == nullptr) return nullptr;
  for (const std::string& key : *keys) {
    const Pod* pod = snapshot_->FindPod(key);
    if (pod != nullptr && (owner == nullptr || Precedes(*owner, *pod))) owner = pod;
  }
  return owner;
}

AddressIndex AddressIndex::Next(const Directory::Committed& committed,
                                std::vector<std::string>* changed) const {
  AddressIndex next;
  next.snapshot_ = committed.snapshot;
  next.claims_ = claims_;
  if (committed.changes.pods.empty()) return next;
  Claims::Edit edit(claims_);
  std::set<IpAddress> touched;
  for (const std::string& key : committed.changes.pods) {
    for (const IpAddress& ip : ClaimsOf(snapshot_->FindPod(key))) {
      const auto* named = edit.Find(ip);
      if (named == nullptr) continue;  // a pod may list an address twice
      std::vector<std::string> keys = *named;
      std::erase(keys, key);
      if (keys.empty()) {
        edit.Erase(ip);
      } else {
        edit.Set(ip, std::move(keys));
      }
      touched.insert(ip);
    }
    for (const IpAddress& ip : ClaimsOf(committed.snapshot->FindPod(key))) {
      const auto* others = edit.Find(ip);
      std::vector<std::string> keys = others == nullptr ? std::vector<std::string>() : *others;
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
      edit.Set(ip, std::move(keys));
      touched.insert(ip);
    }
  }
  next.claims_ = std::move(edit).Finish();
  for (const IpAddress& ip : touched) {
    if (!SameOwner(FindOwner(ip), next.FindOwner(ip))) changed->push_back(ip.ToString());
  }
  return next;
}

}  // namespace portolan::xds
