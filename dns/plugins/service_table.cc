#include "dns/plugins/service_table.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "common/string_map.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using Entry = ServiceTable::Entry;
using Kind = ServiceTable::Kind;

// For names that are longer than a line.
constexpr Entry kTooLong = [] {
  Entry entry;
  entry.kind = Kind::kElsewhere;
  return entry;
}();

uint64_t WordAt(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The halves of the product, folded: each bit of both factors reaches all of the result.
uint64_t Mix(uint64_t a, uint64_t b) {
  const absl::uint128 product = absl::uint128(a) * b;
  return absl::Uint128High64(product) ^ absl::Uint128Low64(product);
}

// The low bits choose the place within the shard.
size_t ShardOf(uint64_t hash) { return (hash >> 40) % ServiceTable::kShards; }
// Spreads over any number of places without a division.
size_t PlaceOf(uint64_t hash, size_t places) { return (hash & UINT32_MAX) * places >> 32; }

bool HasKey(const Entry& entry, std::span<const uint8_t> key) {
  return entry.key_bytes == key.size() &&
         std::memcmp(entry.bytes.data(), key.data(), key.size()) == 0;
}

// False if the key does not fit.
bool SetKey(const ObjectName& name, Entry& entry) {
  const size_t bytes = name.name.size() + name.ns.size() + 2;
  if (bytes > Entry::kBytes) return false;
  uint8_t* at = entry.bytes.data();
  for (const std::string* label : {&name.name, &name.ns}) {
    *at++ = static_cast<uint8_t>(label->size());
    at = std::copy(label->begin(), label->end(), at);
  }
  entry.key_bytes = static_cast<uint8_t>(bytes);
  return true;
}

// False, and nothing is set, if they do not fit.
bool SetAddresses(std::span<const uint8_t> ipv4, std::span<const uint8_t> ipv6, Entry& entry) {
  if (entry.key_bytes + ipv4.size() + ipv6.size() > Entry::kBytes) return false;
  entry.ipv4_bytes = static_cast<uint8_t>(ipv4.size());
  entry.ipv6_bytes = static_cast<uint8_t>(ipv6.size());
  uint8_t* at = std::copy(ipv4.begin(), ipv4.end(), entry.bytes.data() + entry.key_bytes);
  std::copy(ipv6.begin(), ipv6.end(), at);
  return true;
}

bool SetClusterIps(const Service& service, Entry& entry) {
  std::vector<uint8_t> ipv4, ipv6;
  for (const IpAddress& ip : service.cluster_ips) {
    auto& out = ip.is_v4() ? ipv4 : ipv6;
    out.insert(out.end(), ip.bytes().begin(), ip.bytes().end());
  }
  return SetAddresses(ipv4, ipv6, entry);
}

std::string_view KeyText(const Entry& entry) {
  return {reinterpret_cast<const char*>(entry.bytes.data()), entry.key_bytes};
}

}  // namespace

ServiceTable::ServiceTable() : shards_(std::make_shared<const Shards>()) {}

// What absl's does, from a start that differs from process to process as there. But absl's are 120
// instructions behind three calls, twice for each question, and these are 30.
uint64_t ServiceTable::HashOf(std::span<const uint8_t> key) {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;
  constexpr size_t kWord = sizeof(uint64_t);
  uint64_t hash = reinterpret_cast<uintptr_t>(&kTooLong) + key.size();
  if (key.size() < kWord) {
    for (const uint8_t byte : key) hash = Mix(hash ^ byte, kFactor);
    return hash;
  }
  for (size_t at = 0; at + kWord < key.size(); at += kWord) {
    hash = Mix(hash ^ WordAt(&key[at]), kFactor);
  }
  // The last word overlaps the one before.
  return Mix(hash ^ WordAt(key.data() + key.size() - kWord), kFactor);
}

uint64_t ServiceTable::HashOf(std::string_view ns, std::string_view name) {
  std::array<uint8_t, 2 * (1 + wire::kMaxLabelBytes)> labels;
  if (name.size() > wire::kMaxLabelBytes || ns.size() > wire::kMaxLabelBytes) return 0;
  uint8_t* at = labels.data();
  for (const std::string_view label : {name, ns}) {
    *at++ = static_cast<uint8_t>(label.size());
    at = std::copy(label.begin(), label.end(), at);
  }
  return HashOf(std::span(labels).first(static_cast<size_t>(at - labels.data())));
}

const Entry* ServiceTable::Find(std::span<const uint8_t> labels, uint64_t hash) const {
  if (labels.size() > Entry::kBytes) return &kTooLong;
  const Shard& shard = shards_->each[ShardOf(hash)];
  if (shard.size == 0) return nullptr;
  size_t at = PlaceOf(hash, shard.size);
  while (shard.places[at].kind != Kind::kNone) {
    if (HasKey(shard.places[at], labels)) return &shard.places[at];
    if (++at == shard.size) at = 0;
  }
  return nullptr;
}

void ServiceTable::Prefetch(std::span<const uint8_t> labels) const {
  const uint64_t hash = HashOf(labels);
  const Shard& shard = shards_->each[ShardOf(hash)];
  if (shard.size > 0) __builtin_prefetch(&shard.places[PlaceOf(hash, shard.size)]);
}

void ServiceTable::Edit::Put(const Service& service, const EndpointRecords* endpoints,
                             bool knows_endpoints) {
  EntryChange change;
  Entry& entry = change.entry;
  if (!SetKey(service.name, entry)) return;
  entry.kind = Kind::kElsewhere;
  entry.knows_endpoints = knows_endpoints;
  if (service.headless) {
    entry.kind = Kind::kHeadless;
    entry.endpoints = endpoints;
    if (endpoints != nullptr) SetAddresses(endpoints->ipv4(), endpoints->ipv6(), entry);
  } else if (service.type != ServiceType::kExternalName && SetClusterIps(service, entry)) {
    entry.kind = Kind::kClusterIps;
    change.ports = ports_.Share(Ports(service.ports.begin(), service.ports.end()));
    entry.ports = change.ports.get();
  }
  Add(std::move(change));
}

void ServiceTable::Edit::Remove(const ObjectName& name) {
  EntryChange change;
  if (SetKey(name, change.entry)) Add(std::move(change));
}

void ServiceTable::Edit::Add(EntryChange change) {
  changes_[ShardOf(HashOf(change.entry.key()))].push_back(std::move(change));
}

ServiceTable ServiceTable::Edit::Finish() && {
  ServiceTable next = from_;
  if (changes_.empty()) return next;
  auto shards = std::make_shared<Shards>(*from_.shards_);
  for (const auto& [at, changes] : changes_) Replace(*shards, at, changes);
  next.shards_ = std::move(shards);
  return next;
}

void ServiceTable::Replace(Shards& shards, size_t at, const std::vector<EntryChange>& changes) {
  auto& held = shards.groups[at / kBlocksInGroup];
  auto group = held == nullptr ? std::make_shared<Group>() : std::make_shared<Group>(*held);
  std::shared_ptr<const Block>& block = (*group)[at % kBlocksInGroup];
  block = Changed(block.get(), changes);
  shards.each[at] = block == nullptr ? Shard() : Shard{block->places.data(), block->places.size()};
  held = std::move(group);
}

std::shared_ptr<const ServiceTable::Block> ServiceTable::Changed(
    const Block* from, const std::vector<EntryChange>& changes) {
  absl::flat_hash_map<std::string_view, const EntryChange*, StringHash, std::equal_to<>> last;
  for (const EntryChange& change : changes) last[KeyText(change.entry)] = &change;
  std::vector<Entry> entries;
  auto next = std::make_shared<Block>();
  if (from != nullptr) {
    for (const Entry& entry : from->places) {
      if (entry.kind != Kind::kNone && !last.contains(KeyText(entry))) entries.push_back(entry);
    }
    next->ports = from->ports;
  }
  for (const auto& [key, change] : last) {
    if (change->entry.kind != Kind::kNone) entries.push_back(change->entry);
    if (change->ports != nullptr) next->ports.push_back(change->ports);
  }
  if (entries.empty()) return nullptr;
  KeepUsed(entries, next->ports);
  next->places = Placed(entries);
  return next;
}

std::vector<Entry> ServiceTable::Placed(const std::vector<Entry>& entries) {
  std::vector<Entry> places(entries.size() + entries.size() / 4 + 1);
  for (const Entry& entry : entries) {
    size_t at = PlaceOf(HashOf(entry.key()), places.size());
    while (places[at].kind != Kind::kNone) at = (at + 1) % places.size();
    places[at] = entry;
  }
  return places;
}

void ServiceTable::KeepUsed(const std::vector<Entry>& entries,
                            std::vector<std::shared_ptr<const Ports>>& ports) {
  absl::flat_hash_set<const Ports*> used;
  for (const Entry& entry : entries) {
    if (entry.kind == Kind::kClusterIps) used.insert(entry.ports);
  }
  // Each is kept once: what was kept is no longer looked for.
  std::erase_if(ports, [&](const auto& held) { return used.erase(held.get()) == 0; });
  ports.shrink_to_fit();
}

}  // namespace portolan::dns
