// The question that nearly every pod asks most, answered with one look at one cache line: which
// cluster IPs has this Service?
//
// The snapshot's own map leads from shard to slot to key to Service to address, each step another
// line of memory; at one query in a microsecond that is a tenth of the whole. A Service whose names
// are long, or that has several addresses of one family, is left out and found by the snapshot.
// Immutable like the snapshot; the next version shares the shards that did not change.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "directory/model.h"

namespace portolan::dns {

class ClusterIpTable {
 public:
  static constexpr size_t kShards = 1024;

  // A Service's line: its name and namespace as they stand in a query, and its addresses.
  struct alignas(64) Entry {
    static constexpr size_t kKeyBytes = 41;

    uint8_t key_bytes = 0;  // 0: an empty place
    bool has_ipv4 = false;
    bool has_ipv6 = false;
    std::array<uint8_t, 4> ipv4{};
    std::array<uint8_t, 16> ipv6{};
    std::array<uint8_t, kKeyBytes> key{};

    std::span<const uint8_t> key_view() const { return {key.data(), key_bytes}; }
  };
  static_assert(sizeof(Entry) == 64);

  ClusterIpTable();

  // `labels`: the labels of name and namespace in lower case with their length bytes.
  const Entry* Find(std::span<const uint8_t> labels) const;
  // Has the processor fetch the line that Find will look at.
  void Prefetch(std::span<const uint8_t> labels) const;

  class Edit {
   public:
    // `from` outlives the edit.
    explicit Edit(const ClusterIpTable& from) : from_(from) {}
    void Put(const Service& service);
    void Remove(const ObjectName& name);
    ClusterIpTable Finish() &&;

   private:
    // By shard; the last change of a key wins. An entry without addresses takes the key away.
    absl::flat_hash_map<size_t, std::vector<Entry>> changes_;
    const ClusterIpTable& from_;
  };

 private:
  // Open addressing, linear, a power of two of places of which one is empty at least; no entries,
  // no places. Found from the array of shards in one step: each is a wait for memory.
  struct Shard {
    std::shared_ptr<const Entry[]> places;
    size_t size = 0;
  };
  using Shards = std::array<Shard, kShards>;

  static Shard Changed(const Shard& from, const std::vector<Entry>& changes);

  std::shared_ptr<const Shards> shards_;
};

}  // namespace portolan::dns
