#include "proxy/feed/endpoint_sets.h"

#include <algorithm>
#include <utility>

namespace portolan::proxy {
namespace {

std::string ResourceName(const std::string& service_key, const std::string& slice) {
  return service_key + "/" + slice;
}

bool Lists(const std::vector<api::EndpointsHead::Listed>& head, std::string_view slice) {
  return std::any_of(head.begin(), head.end(), [&](const api::EndpointsHead::Listed& listed) {
    return listed.slice == slice;
  });
}

}  // namespace

void EndpointSets::PutHead(api::EndpointsHead head, std::string version) {
  versions_.Set(head.service_key, std::move(version));
  touched_.insert(head.service_key);
  in_transit_[head.service_key].head = std::move(head.slices);
}

void EndpointSets::PutSlice(EndpointSlice slice, std::string version) {
  const std::string service_key = slice.name.ns + "/" + slice.service;
  versions_.Set(ResourceName(service_key, slice.name.name), std::move(version));
  touched_.insert(service_key);
  const std::string name = slice.name.name;
  in_transit_[service_key].waiting.insert_or_assign(name, std::move(slice));
}

void EndpointSets::Remove(std::string_view resource_name) {
  const auto name = api::EndpointsName::Parse(resource_name);
  if (!name) return;
  const bool is_answer = name->slice.empty() && slices_ == Directory::Slices::kOfThoseAskedFor;
  if (versions_.Find(resource_name) == nullptr && !is_answer) return;
  versions_.Erase(resource_name);
  const std::string service_key(name->service_key);
  touched_.insert(service_key);
  Transit& set = in_transit_[service_key];
  if (name->slice.empty()) {
    set.head.emplace();
  } else if (const auto waiting = set.waiting.find(name->slice); waiting != set.waiting.end()) {
    set.waiting.erase(waiting);
  }
}

void EndpointSets::Forget(const std::string& service_key, Directory& directory) {
  versions_.Erase(service_key);
  if (const auto set = in_transit_.find(service_key); set != in_transit_.end()) {
    for (const auto& [name, slice] : set->second.waiting) {
      versions_.Erase(ResourceName(service_key, name));
    }
    in_transit_.erase(set);
  }
  if (const SliceSet* shown = directory.snapshot()->FindSlices(service_key)) {
    for (const auto& [name, slice] : *shown) versions_.Erase(ResourceName(service_key, name));
  }
  directory.ForgetSlices(service_key);
}

void EndpointSets::Show(Directory& directory) {
  Edits edits;
  for (const std::string& service_key : touched_) {
    const auto set = in_transit_.find(service_key);
    if (set == in_transit_.end()) continue;
    const SliceSet* shown = directory.snapshot()->FindSlices(service_key);
    if (IsWhole(service_key, set->second, shown)) {
      ShowWhole(service_key, set->second, shown, edits);
    }
    if (!set->second.head && set->second.waiting.empty()) in_transit_.erase(set);
  }
  touched_.clear();
  // A slice that moves from one Service to another is hidden in the one before it is shown in the
  // other: the directory knows slices by namespace and name.
  for (const ObjectName& name : edits.hide) directory.RemoveSlice(name);
  for (const std::string& service_key : edits.none) directory.PutNoSlices(service_key);
  for (EndpointSlice& slice : edits.show) directory.Put(std::move(slice));
}

bool EndpointSets::IsWhole(const std::string& service_key, const Transit& set,
                           const SliceSet* shown) const {
  if (!set.head) return false;
  return std::all_of(
      set.head->begin(), set.head->end(), [&](const api::EndpointsHead::Listed& listed) {
        const std::string* version = versions_.Find(ResourceName(service_key, listed.slice));
        if (version == nullptr || *version != listed.version) return false;
        return set.waiting.contains(listed.slice) ||
               (shown != nullptr && shown->contains(listed.slice));
      });
}

void EndpointSets::ShowWhole(const std::string& service_key, Transit& set, const SliceSet* shown,
                             Edits& edits) {
  // Slices that the head no longer lists are hidden. They stay held until the server removes them,
  // since it would not send them again if a later head listed them.
  if (shown != nullptr) {
    for (const auto& [name, slice] : *shown) {
      if (Lists(*set.head, name)) continue;
      edits.hide.push_back(slice->name);
      if (versions_.Find(ResourceName(service_key, name)) != nullptr) {
        set.waiting.try_emplace(name, *slice);
      }
    }
  }
  for (const api::EndpointsHead::Listed& listed : *set.head) {
    const auto waiting = set.waiting.find(listed.slice);
    if (waiting == set.waiting.end()) continue;
    edits.show.push_back(std::move(waiting->second));
    set.waiting.erase(waiting);
  }
  const bool is_known = shown != nullptr && shown->empty();
  if (slices_ == Directory::Slices::kOfThoseAskedFor && set.head->empty() && !is_known) {
    edits.none.push_back(service_key);
  }
  set.head.reset();
}

StringSet EndpointSets::InTransit() const {
  StringSet keys;
  for (const auto& [key, set] : in_transit_) keys.insert(key);
  return keys;
}

}  // namespace portolan::proxy
