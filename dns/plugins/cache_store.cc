#include "dns/plugins/cache_store.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string_view>

#include "absl/hash/hash.h"
#include "dns/wire/bytes.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

// How many replies are spared before one goes all the same.
constexpr int kMostSpared = 8;

// No question has it: a cut is for all types.
constexpr uint8_t kCutMode = 0x80;

struct Hashed {
  std::string_view name;
  uint16_t type;
  uint8_t modes;

  template <typename H>
  friend H AbslHashValue(H h, const Hashed& hashed) {
    return H::combine_contiguous(H::combine(std::move(h), hashed.type, hashed.modes),
                                 hashed.name.data(), hashed.name.size());
  }
};

uint64_t HashOf(std::span<const uint8_t> name, uint16_t type, uint8_t modes) {
  return absl::Hash<Hashed>()(
      {{reinterpret_cast<const char*>(name.data()), name.size()}, type, modes});
}

uint64_t CutHash(std::span<const uint8_t> name, uint8_t modes) {
  return HashOf(name, 0, modes | kCutMode);
}

// The places of TTLs stand behind the message, aligned.
size_t TtlsAt(size_t message_bytes) { return message_bytes + (message_bytes & 1); }

}  // namespace

CacheQuestion CacheQuestion::Of(const wire::Query& query) {
  const bool checking_disabled = (query.flags & wire::flag::kCheckingDisabled) != 0;
  return {query.lower_name(), query.type,
          static_cast<uint8_t>((query.dnssec_ok ? kDnssecOk : 0) |
                               (checking_disabled ? kCheckingDisabled : 0))};
}

uint64_t CacheQuestion::Hash() const { return HashOf(name, type, modes); }

CacheStore::CacheStore(const std::array<size_t, kCacheKinds>& capacity) {
  for (size_t i = 0; i < kCacheKinds; ++i) {
    kinds_[i].capacity = std::max(capacity[i], kMinCapacity);
  }
}

CacheEntry* CacheStore::Find(const CacheQuestion& question) {
  const auto found = by_question_.find(question.Hash());
  if (found == by_question_.end()) return nullptr;
  CacheEntry& entry = entries_[found->second];
  const bool same = entry.type_ == question.type && entry.modes_ == question.modes &&
                    NameIs(entry, question.name);
  if (!same) return nullptr;
  entry.spared_ = true;
  return &entry;
}

CacheEntry* CacheStore::FindCut(std::span<const uint8_t> name, uint8_t modes) {
  const auto found = cuts_.find(CutHash(name, modes));
  if (found == cuts_.end()) return nullptr;
  CacheEntry& entry = entries_[found->second];
  if (entry.modes_ != modes || !NameIs(entry, name)) return nullptr;
  entry.spared_ = true;
  return &entry;
}

CacheEntry& CacheStore::Put(const CacheQuestion& question, CacheKind kind, const CachedReply& reply,
                            CacheTime now, uint32_t ttl) {
  assert(reply.message.size() <= kMaxMessageBytes && reply.ttl_at.size() <= kMaxTtls);
  const uint64_t hash = question.Hash();
  const auto known = by_question_.find(hash);
  uint32_t id = known == by_question_.end() ? kNone : known->second;
  if (id != kNone) Clear(id);
  const size_t ttls_at = TtlsAt(reply.message.size());
  const size_t bytes = ttls_at + reply.ttl_at.size_bytes();
  const size_t blocks = (bytes + kBlockBytes - 1) / kBlockBytes;
  MakeRoom(kind, blocks);
  if (id == kNone) {
    id = TakeEntry();
    by_question_.emplace(hash, id);
  }

  CacheEntry& entry = entries_[id];
  entry.stored = now;
  entry.ttl = ttl;
  entry.next_refresh = {};
  entry.section_end = reply.section_end;
  entry.counts = reply.counts;
  entry.flags = reply.flags;
  entry.message_bytes = static_cast<uint16_t>(reply.message.size());
  entry.kind = kind;
  entry.hash_ = hash;
  entry.type_ = question.type;
  entry.ttls_ = static_cast<uint16_t>(reply.ttl_at.size());
  entry.modes_ = question.modes;
  entry.name_bytes_ = static_cast<uint8_t>(question.name.size());
  entry.cuts_ = reply.cuts;

  uint32_t block = entry.first_block_ = TakeBlock();
  size_t at = 0;
  static constexpr uint8_t kPadding = 0;
  Append(reply.message, block, at);
  Append({&kPadding, ttls_at - reply.message.size()}, block, at);
  Append({reinterpret_cast<const uint8_t*>(reply.ttl_at.data()), reply.ttl_at.size_bytes()}, block,
         at);
  if (reply.cuts) {
    entry.cut_hash_ = CutHash(question.name, question.modes);
    cuts_[entry.cut_hash_] = id;
  }
  of(kind).blocks += blocks;
  Link(id);
  return entry;
}

void CacheStore::Remove(const CacheQuestion& question) {
  if (Find(question) != nullptr) Free(by_question_.find(question.Hash())->second);
}

void CacheStore::Copy(const CacheEntry& entry, uint32_t ttl, std::span<uint8_t> room) const {
  Read(entry, 0, room.first(entry.message_bytes));
  std::array<uint16_t, kMaxTtls> ttl_at;
  const auto places = std::span(ttl_at).first(entry.ttls_);
  Read(entry, TtlsAt(entry.message_bytes),
       {reinterpret_cast<uint8_t*>(places.data()), places.size_bytes()});
  for (const uint16_t at : places) wire::Store32(&room[at], ttl);
}

bool CacheStore::NameIs(const CacheEntry& entry, std::span<const uint8_t> name) const {
  if (entry.name_bytes_ != name.size()) return false;
  std::array<uint8_t, wire::kMaxNameBytes> held;
  Read(entry, wire::kHeaderBytes, std::span(held).first(name.size()));
  return std::memcmp(held.data(), name.data(), name.size()) == 0;
}

void CacheStore::Read(const CacheEntry& entry, size_t from, std::span<uint8_t> out) const {
  uint32_t block = entry.first_block_;
  for (; from >= kBlockBytes; from -= kBlockBytes) block = blocks_[block].next;
  while (!out.empty()) {
    const Block& source = blocks_[block];
    const size_t bytes = std::min(out.size(), kBlockBytes - from);
    std::memcpy(out.data(), source.bytes.data() + from, bytes);
    out = out.subspan(bytes);
    block = source.next;
    from = 0;
  }
}

void CacheStore::Append(std::span<const uint8_t> bytes, uint32_t& block, size_t& at) {
  while (!bytes.empty()) {
    if (at == kBlockBytes) {
      const uint32_t next = TakeBlock();
      blocks_[block].next = next;
      block = next;
      at = 0;
    }
    const size_t some = std::min(bytes.size(), kBlockBytes - at);
    std::memcpy(blocks_[block].bytes.data() + at, bytes.data(), some);
    bytes = bytes.subspan(some);
    at += some;
  }
}

// Each round frees a block at least, so that the rounds are bounded by what the reply needs.
void CacheStore::MakeRoom(CacheKind kind, size_t blocks) {
  const OfKind& mine = of(kind);
  while (entries(kind) == mine.capacity ||
         (entries(kind) > 0 && mine.blocks + blocks > mine.capacity * kBlocksEach)) {
    Evict(kind);
  }
}

void CacheStore::Evict(CacheKind kind) {
  OfKind& mine = of(kind);
  for (int i = 0; i < kMostSpared && entries_[mine.oldest].spared_; ++i) {
    const uint32_t id = mine.oldest;
    entries_[id].spared_ = false;
    Unlink(id);
    Link(id);
  }
  Free(mine.oldest);
  mine.evicted.Add();
}

void CacheStore::Free(uint32_t id) {
  Clear(id);
  by_question_.erase(entries_[id].hash_);
  entries_[id] = CacheEntry();
  entries_[id].older_ = free_entry_;
  free_entry_ = id;
}

uint32_t CacheStore::TakeEntry() {
  if (free_entry_ == kNone) {
    entries_.emplace_back();
    return static_cast<uint32_t>(entries_.size() - 1);
  }
  const uint32_t id = free_entry_;
  free_entry_ = entries_[id].older_;
  return id;
}

uint32_t CacheStore::TakeBlock() {
  uint32_t block = free_block_;
  if (block == kNone) {
    block = static_cast<uint32_t>(blocks_.size());
    blocks_.emplace_back();
  } else {
    free_block_ = blocks_[block].next;
  }
  blocks_[block].next = kNone;
  return block;
}

void CacheStore::Link(uint32_t id) {
  CacheEntry& entry = entries_[id];
  OfKind& mine = of(entry.kind);
  entry.newer_ = kNone;
  entry.older_ = mine.newest;
  (mine.newest == kNone ? mine.oldest : entries_[mine.newest].newer_) = id;
  mine.newest = id;
  mine.held.store(entries(entry.kind) + 1, std::memory_order_relaxed);
}

void CacheStore::Unlink(uint32_t id) {
  const CacheEntry& entry = entries_[id];
  OfKind& mine = of(entry.kind);
  (entry.older_ == kNone ? mine.oldest : entries_[entry.older_].newer_) = entry.newer_;
  (entry.newer_ == kNone ? mine.newest : entries_[entry.newer_].older_) = entry.older_;
  mine.held.store(entries(entry.kind) - 1, std::memory_order_relaxed);
}

void CacheStore::Clear(uint32_t id) {
  CacheEntry& entry = entries_[id];
  Unlink(id);
  uint32_t last = entry.first_block_;
  size_t blocks = 1;
  for (; blocks_[last].next != kNone; ++blocks) last = blocks_[last].next;
  blocks_[last].next = free_block_;
  free_block_ = entry.first_block_;
  of(entry.kind).blocks -= blocks;
  if (!entry.cuts_) return;
  // A later reply of another type may have taken the name over.
  const auto cut = cuts_.find(entry.cut_hash_);
  if (cut != cuts_.end() && cut->second == id) cuts_.erase(cut);
  entry.cuts_ = false;
}

}  // namespace portolan::dns
