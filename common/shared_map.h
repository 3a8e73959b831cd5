// An immutable hash map that is cheap to derive the next version from.
//
// Snapshots of a cluster hold up to 100,000 entries of which a change touches one. A SharedMap is
// cut into shards, each behind a shared_ptr; Edit() copies the shards it writes to and shares the
// rest with the version it came from. Cost of a version with k changes: one vector of kShards
// pointers plus at most k shards. Reading a finished map needs no lock and is safe from any thread;
// an Edit belongs to one thread.
//
// `Hash` and `Eq` may be transparent; Find then takes any type that they take.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"

namespace portolan {

template <typename K, typename V, typename Hash = absl::Hash<K>, typename Eq = std::equal_to<K>>
class SharedMap {
 public:
  static constexpr size_t kShards = 1024;
  using Shard = absl::flat_hash_map<K, V, Hash, Eq>;
  using Shards = std::array<std::shared_ptr<const Shard>, kShards>;

  SharedMap() : shards_(std::make_shared<const Shards>()) {}

  // The value, or null. Valid as long as this version of the map lives.
  template <typename Q>
  const V* Find(const Q& key) const {
    const auto& shard = (*shards_)[ShardOf(key)];
    if (shard == nullptr) return nullptr;
    auto it = shard->find(key);
    return it == shard->end() ? nullptr : &it->second;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Calls visit(key, value) for each entry, in no order.
  template <typename F>
  void ForEach(F&& visit) const {
    for (const auto& shard : *shards_) {
      if (shard == nullptr) continue;
      for (const auto& [key, value] : *shard) visit(key, value);
    }
  }

  // Goes through the entries one by one, in no order, for those who stop on the way.
  class Cursor {
   public:
    // The version it goes through stays as it is, and alive as long as the cursor.
    explicit Cursor(const SharedMap& map) : shards_(map.shards_) {}

    // Null after the last.
    const std::pair<const K, V>* Next() {
      while (shard_ < kShards) {
        const Shard* shard = (*shards_)[shard_].get();
        if (shard != nullptr && !entered_) at_ = shard->begin();
        entered_ = shard != nullptr;
        if (entered_ && at_ != shard->end()) return &*at_++;
        entered_ = false;
        ++shard_;
      }
      return nullptr;
    }

   private:
    std::shared_ptr<const Shards> shards_;
    size_t shard_ = 0;
    bool entered_ = false;
    typename Shard::const_iterator at_;
  };

  // Collects changes to a map; Finish() gives the next version. The original stays as it was.
  class Edit {
   public:
    // Costs nothing until the first change.
    explicit Edit(const SharedMap& from) : shards_(from.shards_), size_(from.size_) {}

    void Set(const K& key, V value) {
      auto [it, inserted] = Writable(ShardOf(key)).insert_or_assign(key, std::move(value));
      size_ += inserted ? 1 : 0;
    }

    // True if the key was there.
    template <typename Q>
    bool Erase(const Q& key) {
      if (Find(key) == nullptr) return false;
      Shard& shard = Writable(ShardOf(key));
      shard.erase(shard.find(key));
      --size_;
      return true;
    }

    template <typename Q>
    const V* Find(const Q& key) const {
      const auto& shard = (*shards_)[ShardOf(key)];
      if (shard == nullptr) return nullptr;
      auto it = shard->find(key);
      return it == shard->end() ? nullptr : &it->second;
    }

    SharedMap Finish() && { return SharedMap(std::move(shards_), size_); }

   private:
    // What this edit may write to, since it made it.
    struct Owned {
      std::shared_ptr<Shards> shards;
      std::array<Shard*, kShards> each{};
    };

    Shard& Writable(size_t at) {
      if (owned_ == nullptr) {
        owned_ = std::make_unique<Owned>();
        owned_->shards = std::make_shared<Shards>(*shards_);
        shards_ = owned_->shards;
      }
      if (owned_->each[at] == nullptr) {
        auto& shard = (*owned_->shards)[at];
        auto copy = shard == nullptr ? std::make_shared<Shard>() : std::make_shared<Shard>(*shard);
        owned_->each[at] = copy.get();
        shard = std::move(copy);
      }
      return *owned_->each[at];
    }

    std::shared_ptr<const Shards> shards_;
    std::unique_ptr<Owned> owned_;
    size_t size_;
  };

 private:
  SharedMap(std::shared_ptr<const Shards> shards, size_t size)
      : shards_(std::move(shards)), size_(size) {}

  template <typename Q>
  static size_t ShardOf(const Q& key) {
    // The low bits choose the slot within a shard; take others here.
    return (Hash{}(key) >> 40) % kShards;
  }

  std::shared_ptr<const Shards> shards_;
  size_t size_ = 0;
};

}  // namespace portolan
