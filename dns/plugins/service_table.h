// Where nearly every question of a pod leads, on one cache line for each Service: its name, and its
// addresses if they fit behind it.
//
// The snapshot's own maps lead from shard to slot to key to Service to address, each step another
// line of memory to wait for; at one query in two microseconds that is a tenth of the whole. The
// table has every Service, so that what it has not does not exist; what does not fit on a line is
// kElsewhere. Immutable like the snapshot, any thread; the next version, which one thread makes,
// shares the shards that did not change.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "directory/model.h"
#include "dns/plugins/endpoint_records.h"
#include "dns/plugins/shared_values.h"

namespace portolan::dns {

class ServiceTable {
 public:
  static constexpr size_t kShards = 256;
  using Ports = std::vector<ServicePort>;

  enum class Kind : uint8_t {
    kNone,        // an empty place
    kClusterIps,  // has addresses, and `ports`
    kHeadless,    // has `endpoints`, if it publishes any, and their addresses
    kElsewhere,   // there is a Service of that name: ask the snapshot
  };

  struct alignas(64) Entry {
    static constexpr size_t kBytes = 51;

    union {
      const Ports* ports = nullptr;
      const EndpointRecords* endpoints;
    };
    Kind kind = Kind::kNone;
    uint8_t key_bytes = 0;
    // How many bytes of addresses follow the key. A headless Service with more than fit has none
    // here.
    uint8_t ipv4_bytes = 0;
    uint8_t ipv6_bytes = 0;
    // Snapshot::KnowsSlices.
    bool knows_endpoints = true;
    // The labels of name and namespace as they stand in a query, then the addresses.
    std::array<uint8_t, kBytes> bytes{};

    std::span<const uint8_t> key() const { return std::span(bytes).first(key_bytes); }
    // Each address once, 4 and 16 bytes each.
    std::span<const uint8_t> ipv4() const {
      if (!has_addresses_here()) return endpoints->ipv4();
      return std::span(bytes).subspan(key_bytes, ipv4_bytes);
    }
    std::span<const uint8_t> ipv6() const {
      if (!has_addresses_here()) return endpoints->ipv6();
      return std::span(bytes).subspan(size_t{key_bytes} + ipv4_bytes, ipv6_bytes);
    }

   private:
    bool has_addresses_here() const {
      return ipv4_bytes + ipv6_bytes > 0 || kind != Kind::kHeadless || endpoints == nullptr;
    }
  };
  static_assert(sizeof(Entry) == 64);

  ServiceTable();

  // `labels`: the labels of name and namespace in lower case with their length bytes. Null: there
  // is no such Service.
  const Entry* Find(std::span<const uint8_t> labels) const { return Find(labels, HashOf(labels)); }
  const Entry* Find(std::span<const uint8_t> labels, uint64_t hash) const;
  static uint64_t HashOf(std::span<const uint8_t> labels);
  // Of the labels of a Service's name.
  static uint64_t HashOf(std::string_view ns, std::string_view name);
  // Has the processor fetch the line that Find will look at.
  void Prefetch(std::span<const uint8_t> labels) const;

 private:
  // kNone takes the key away.
  struct EntryChange {
    Entry entry;
    std::shared_ptr<const Ports> ports;
  };

 public:
  // Makes the next version.
  class Edit {
   public:
    // `from` and `ports` outlive the edit.
    Edit(const ServiceTable& from, SharedValues<Ports>& ports) : from_(from), ports_(ports) {}
    // `endpoints` are those of a headless Service, null if it publishes none or they are not known;
    // they outlive all versions of the table in which they are.
    void Put(const Service& service, const EndpointRecords* endpoints, bool knows_endpoints);
    void Remove(const ObjectName& name);
    ServiceTable Finish() &&;

   private:
    void Add(EntryChange change);

    // By shard; the last change of a key wins.
    absl::flat_hash_map<size_t, std::vector<EntryChange>> changes_;
    const ServiceTable& from_;
    SharedValues<Ports>& ports_;
  };

 private:
  struct Block {
    // Open addressing, linear; of the places one in five at least is empty.
    std::vector<Entry> places;
    // What entries point at. Services in their thousands have the same ports.
    std::vector<std::shared_ptr<const Ports>> ports;
  };
  // A block's places once more, one step nearer: each is a wait for memory.
  struct Shard {
    const Entry* places = nullptr;
    size_t size = 0;
  };
  // Owns blocks in groups, since a version copies, and lets go of, each pointer on the first level.
  static constexpr size_t kBlocksInGroup = 16;
  using Group = std::array<std::shared_ptr<const Block>, kBlocksInGroup>;
  struct Shards {
    std::array<Shard, kShards> each;
    std::array<std::shared_ptr<const Group>, kShards / kBlocksInGroup> groups;
  };

  static void Replace(Shards& shards, size_t at, const std::vector<EntryChange>& changes);
  static std::shared_ptr<const Block> Changed(const Block* from,
                                              const std::vector<EntryChange>& changes);
  static std::vector<Entry> Placed(const std::vector<Entry>& entries);
  static void KeepUsed(const std::vector<Entry>& entries,
                       std::vector<std::shared_ptr<const Ports>>& ports);

  std::shared_ptr<const Shards> shards_;
};

}  // namespace portolan::dns
