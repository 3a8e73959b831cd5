// The replies that the directive `cache` holds, found by their question.
//
// One for each worker: its loop only, but for the counters. Replies of each kind have a capacity of
// their own. Their bytes lie in blocks that any reply can take, so that memory is neither
// fragmented nor spent before it is used: it grows with what is held and is then kept. When a kind
// is full the oldest reply goes that was not asked for since it was last spared ("second chance").
// Nothing is allocated to find or copy a reply, nor to store one once the store has grown.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/metrics.h"
#include "dns/wire/query.h"

namespace portolan::dns {

using CacheTime = std::chrono::steady_clock::time_point;

// CoreDNS's two caches.
enum class CacheKind : uint8_t { kSuccess, kDenial };
inline constexpr size_t kCacheKinds = 2;

// What tells questions apart: of class IN, the name in lower case.
struct CacheQuestion {
  std::span<const uint8_t> name;
  uint16_t type = 0;
  uint8_t modes = 0;

  static constexpr uint8_t kDnssecOk = 1, kCheckingDisabled = 2;

  static CacheQuestion Of(const wire::Query& query);
  uint64_t Hash() const;
};

// A reply without its OPT record, its question in lower case.
struct CachedReply {
  std::span<const uint8_t> message;
  // As upstream::Reply has them.
  std::array<uint16_t, 3> section_end{};
  std::array<uint16_t, 3> counts{};
  uint16_t flags = 0;
  // Where its TTLs stand.
  std::span<const uint16_t> ttl_at;
  // Whether nothing exists below its name either (RFC 8020).
  bool cuts = false;
};

struct CacheEntry {
  // When it was stored, and for how many seconds it is good.
  CacheTime stored;
  uint32_t ttl = 0;
  // For prefetch: how often it was asked for without a long pause, and when last.
  uint32_t hits = 0;
  CacheTime last_hit;
  // No refresh is begun before.
  CacheTime next_refresh;

  std::array<uint16_t, 3> section_end{};
  std::array<uint16_t, 3> counts{};
  uint16_t flags = 0;
  uint16_t message_bytes = 0;
  CacheKind kind = CacheKind::kSuccess;

  uint8_t rcode() const { return flags & 15; }

 private:
  friend class CacheStore;

  uint64_t hash_ = 0;
  uint64_t cut_hash_ = 0;
  uint32_t first_block_ = 0;
  uint32_t newer_ = 0, older_ = 0;
  uint16_t type_ = 0;
  uint16_t ttls_ = 0;
  uint8_t modes_ = 0;
  uint8_t name_bytes_ = 0;
  bool cuts_ = false;
  bool spared_ = false;  // asked for since it was stored or last spared
};

class CacheStore {
 public:
  // A longer reply is not stored.
  static constexpr size_t kMaxMessageBytes = 4096;
  static constexpr size_t kMaxTtls = (kMaxMessageBytes - wire::kHeaderBytes) / 11;
  static constexpr size_t kMinCapacity = 16;

  // How many replies of each kind; not below kMinCapacity.
  explicit CacheStore(const std::array<size_t, kCacheKinds>& capacity);

  // Null if there is none. What is found, here and below, is valid until the next Put or
  // Remove.
  CacheEntry* Find(const CacheQuestion& question);

  // The reply, which cuts off what is below its name, to a question of `name` of any type.
  CacheEntry* FindCut(std::span<const uint8_t> name, uint8_t modes);
  bool has_cuts() const { return !cuts_.empty(); }

  // Takes the place of what is held for the question; its hits are kept. REQUIRES: `reply` answers
  // `question` and has at most kMaxMessageBytes and kMaxTtls.
  CacheEntry& Put(const CacheQuestion& question, CacheKind kind, const CachedReply& reply,
                  CacheTime now, uint32_t ttl);

  // What is held for the question, if anything.
  void Remove(const CacheQuestion& question);

  // Writes the message with `ttl` in all its records to the front of `room`, which holds it.
  void Copy(const CacheEntry& entry, uint32_t ttl, std::span<uint8_t> room) const;

  // Any thread.
  size_t entries(CacheKind kind) const { return of(kind).held.load(std::memory_order_relaxed); }
  uint64_t evictions(CacheKind kind) const { return of(kind).evicted.value(); }

  // What the entries and their bytes take, without the index.
  size_t memory_bytes() const {
    return entries_.size() * sizeof(CacheEntry) + blocks_.size() * sizeof(Block);
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kBlockBytes = 124;
  // How much of the memory a kind may take, so that a few long replies do not take all.
  static constexpr size_t kBlocksEach = 4;

  struct Block {
    uint32_t next;
    std::array<uint8_t, kBlockBytes> bytes;
  };

  struct OfKind {
    size_t capacity = 0;
    std::atomic<size_t> held{0};  // written by the worker alone
    size_t blocks = 0;
    uint32_t newest = kNone, oldest = kNone;
    Counter evicted;
  };

  const OfKind& of(CacheKind kind) const { return kinds_[static_cast<size_t>(kind)]; }
  OfKind& of(CacheKind kind) { return kinds_[static_cast<size_t>(kind)]; }

  bool NameIs(const CacheEntry& entry, std::span<const uint8_t> name) const;
  void Read(const CacheEntry& entry, size_t from, std::span<uint8_t> out) const;
  // Follows what was written before, from `at` in the last block on.
  void Append(std::span<const uint8_t> bytes, uint32_t& block, size_t& at);

  void MakeRoom(CacheKind kind, size_t blocks);
  void Evict(CacheKind kind);
  uint32_t TakeEntry();
  uint32_t TakeBlock();
  void Link(uint32_t id);
  void Unlink(uint32_t id);
  // Gives the reply's bytes and its places in the lists back; the entry itself stays taken.
  void Clear(uint32_t id);
  void Free(uint32_t id);

  std::array<OfKind, kCacheKinds> kinds_;
  std::vector<CacheEntry> entries_;
  std::deque<Block> blocks_;  // grows without moving
  uint32_t free_entry_ = kNone;
  uint32_t free_block_ = kNone;
  absl::flat_hash_map<uint64_t, uint32_t> by_question_;
  absl::flat_hash_map<uint64_t, uint32_t> cuts_;  // by CutHash
};

}  // namespace portolan::dns
