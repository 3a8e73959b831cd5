#include "dns/plugins/cluster_ip_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "common/string_map.h"

namespace portolan::dns {
namespace {

using Entry = ClusterIpTable::Entry;

size_t HashOf(std::span<const uint8_t> key) {
  return StringHash()({reinterpret_cast<const char*>(key.data()), key.size()});
}

// The low bits choose the place within the shard.
size_t ShardOf(size_t hash) { return (hash >> 40) % ClusterIpTable::kShards; }

bool HasKey(const Entry& entry, std::span<const uint8_t> key) {
  return entry.key_bytes == key.size() &&
         std::memcmp(entry.key.data(), key.data(), key.size()) == 0;
}

// False if the key does not fit.
bool SetKey(const ObjectName& name, Entry& entry) {
  const size_t bytes = name.name.size() + name.ns.size() + 2;
  if (bytes > Entry::kKeyBytes) return false;
  uint8_t* at = entry.key.data();
  for (const std::string* label : {&name.name, &name.ns}) {
    *at++ = static_cast<uint8_t>(label->size());
    at = std::copy(label->begin(), label->end(), at);
  }
  entry.key_bytes = static_cast<uint8_t>(bytes);
  return true;
}

// Leaves `entry` without addresses if the Service is none for the table.
void SetAddresses(const Service& service, Entry& entry) {
  if (service.headless || service.type == ServiceType::kExternalName) return;
  const auto v4 = std::count_if(service.cluster_ips.begin(), service.cluster_ips.end(),
                                [](const IpAddress& ip) { return ip.is_v4(); });
  const auto v6 = static_cast<long>(service.cluster_ips.size()) - v4;
  if (v4 > 1 || v6 > 1) return;
  for (const IpAddress& ip : service.cluster_ips) {
    (ip.is_v4() ? entry.has_ipv4 : entry.has_ipv6) = true;
    std::copy(ip.bytes().begin(), ip.bytes().end(),
              ip.is_v4() ? entry.ipv4.begin() : entry.ipv6.begin());
  }
}

}  // namespace

ClusterIpTable::ClusterIpTable() : shards_(std::make_shared<const Shards>()) {}

const Entry* ClusterIpTable::Find(std::span<const uint8_t> labels) const {
  if (labels.size() > Entry::kKeyBytes) return nullptr;
  const size_t hash = HashOf(labels);
  const Shard& shard = (*shards_)[ShardOf(hash)];
  if (shard.size == 0) return nullptr;
  const size_t mask = shard.size - 1;
  for (size_t at = hash & mask; shard.places[at].key_bytes != 0; at = (at + 1) & mask) {
    if (HasKey(shard.places[at], labels)) return &shard.places[at];
  }
  return nullptr;
}

void ClusterIpTable::Prefetch(std::span<const uint8_t> labels) const {
  const size_t hash = HashOf(labels);
  const Shard& shard = (*shards_)[ShardOf(hash)];
  if (shard.size > 0) __builtin_prefetch(&shard.places[hash & (shard.size - 1)]);
}

void ClusterIpTable::Edit::Put(const Service& service) {
  Entry entry;
  if (!SetKey(service.name, entry)) return;
  SetAddresses(service, entry);
  changes_[ShardOf(HashOf(entry.key_view()))].push_back(entry);
}

void ClusterIpTable::Edit::Remove(const ObjectName& name) {
  Entry entry;
  if (SetKey(name, entry)) changes_[ShardOf(HashOf(entry.key_view()))].push_back(entry);
}

ClusterIpTable ClusterIpTable::Edit::Finish() && {
  ClusterIpTable next = from_;
  if (changes_.empty()) return next;
  auto shards = std::make_shared<Shards>(*from_.shards_);
  for (const auto& [at, changes] : changes_) {
    (*shards)[at] = Changed((*shards)[at], changes);
  }
  next.shards_ = std::move(shards);
  return next;
}

ClusterIpTable::Shard ClusterIpTable::Changed(const Shard& from,
                                              const std::vector<Entry>& changes) {
  std::vector<Entry> entries;
  std::copy_if(from.places.get(), from.places.get() + from.size, std::back_inserter(entries),
               [](const Entry& e) { return e.key_bytes != 0; });
  for (const Entry& change : changes) {
    std::erase_if(entries, [&](const Entry& e) { return HasKey(e, change.key_view()); });
    if (change.has_ipv4 || change.has_ipv6) entries.push_back(change);
  }
  if (entries.empty()) return {};
  const size_t size = std::bit_ceil(entries.size() + entries.size() / 4 + 1);
  auto places = std::make_shared<Entry[]>(size);
  for (const Entry& entry : entries) {
    size_t at = HashOf(entry.key_view()) & (size - 1);
    while (places[at].key_bytes != 0) at = (at + 1) & (size - 1);
    places[at] = entry;
  }
  return {std::move(places), size};
}

}  // namespace portolan::dns
