// Immutable hash maps and sets that are cheap to derive the next version from.
//
// Snapshots of a cluster hold up to 100,000 entries of which a change touches one. A SharedMap or
// SharedSet is cut into shards, each behind a shared_ptr; Edit copies the shards it writes to and
// shares the rest with the version it came from. Cost of a version with k changes: one vector of
// kShards pointers plus at most k shards. Reading a finished one needs no lock and is safe from any
// thread; an Edit belongs to one thread.
//
// `Hash` and `Eq` may be transparent; Find then takes any type that they take.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace portolan {

// What the two have in common. `Shard` is a hash container, `KeyOf` takes one of its entries.
template <typename Shard, typename KeyOf>
class SharedTable {
 public:
  static constexpr size_t kShards = 256;
  using Entry = typename Shard::value_type;
  using Shards = std::array<std::shared_ptr<const Shard>, kShards>;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The entry, or null. Valid as long as this version of the table lives.
  template <typename Q>
  const Entry* FindEntry(const Q& key) const {
    return FindIn(shards_.get(), key);
  }

  // Calls visit(entry) for each, in no order.
  template <typename F>
  void ForEachEntry(F&& visit) const {
    if (shards_ == nullptr) return;
    for (const auto& shard : *shards_) {
      if (shard == nullptr) continue;
      for (const Entry& entry : *shard) visit(entry);
    }
  }

  // Goes through the entries one by one, in no order, for those who stop on the way.
  class Cursor {
   public:
    // The version it goes through stays as it is, and alive as long as the cursor.
    explicit Cursor(const SharedTable& table) : shards_(table.shards_) {}

    // Null after the last.
    const Entry* Next() {
      while (shards_ != nullptr && shard_ < kShards) {
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

 protected:
  // Collects changes to a table. The original stays as it was.
  class EditBase {
   public:
    // True if the key was there.
    template <typename Q>
    bool Erase(const Q& key) {
      if (FindEntry(key) == nullptr) return false;
      Shard& shard = Writable(ShardOf(key));
      shard.erase(shard.find(key));
      --size_;
      return true;
    }

    template <typename Q>
    const Entry* FindEntry(const Q& key) const {
      return FindIn(shards_.get(), key);
    }

   protected:
    // Costs nothing until the first change.
    explicit EditBase(const SharedTable& from) : shards_(from.shards_), size_(from.size_) {}

    // In the place of the entry with an equal key.
    template <typename NewEntry>
    void Put(NewEntry entry) {
      Shard& shard = Writable(ShardOf(KeyOf()(entry)));
      const auto old = shard.find(KeyOf()(entry));
      if (old != shard.end()) {
        shard.erase(old);
      } else {
        ++size_;
      }
      shard.insert(std::move(entry));
    }

    void FinishInto(SharedTable& table) {
      table.shards_ = std::move(shards_);
      table.size_ = size_;
    }

   private:
    // What this edit may write to, since it made it.
    struct Owned {
      std::shared_ptr<Shards> shards;
      std::array<Shard*, kShards> each{};
    };

    Shard& Writable(size_t at) {
      if (owned_ == nullptr) {
        owned_ = std::make_unique<Owned>();
        owned_->shards =
            shards_ == nullptr ? std::make_shared<Shards>() : std::make_shared<Shards>(*shards_);
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
  template <typename Q>
  static size_t ShardOf(const Q& key) {
    // The low bits choose the slot within a shard; take others here.
    return (typename Shard::hasher()(key) >> 40) % kShards;
  }

  template <typename Q>
  static const Entry* FindIn(const Shards* shards, const Q& key) {
    if (shards == nullptr) return nullptr;
    const auto& shard = (*shards)[ShardOf(key)];
    if (shard == nullptr) return nullptr;
    const auto it = shard->find(key);
    return it == shard->end() ? nullptr : &*it;
  }

  std::shared_ptr<const Shards> shards_;  // null: empty
  size_t size_ = 0;
};

namespace shared_map_internal {
struct First {
  template <typename Pair>
  const auto& operator()(const Pair& entry) const {
    return entry.first;
  }
};
}  // namespace shared_map_internal

template <typename K, typename V, typename Hash = absl::Hash<K>, typename Eq = std::equal_to<K>>
class SharedMap
    : public SharedTable<absl::flat_hash_map<K, V, Hash, Eq>, shared_map_internal::First> {
  using Table = SharedTable<absl::flat_hash_map<K, V, Hash, Eq>, shared_map_internal::First>;

 public:
  // The value, or null. Valid as long as this version of the map lives.
  template <typename Q>
  const V* Find(const Q& key) const {
    const auto* entry = this->FindEntry(key);
    return entry == nullptr ? nullptr : &entry->second;
  }

  // Calls visit(key, value) for each entry, in no order.
  template <typename F>
  void ForEach(F&& visit) const {
    this->ForEachEntry([&](const auto& entry) { visit(entry.first, entry.second); });
  }

  class Edit : public Table::EditBase {
   public:
    explicit Edit(const SharedMap& from) : Table::EditBase(from) {}

    void Set(const K& key, V value) { this->Put(std::pair<K, V>(key, std::move(value))); }

    template <typename Q>
    const V* Find(const Q& key) const {
      const auto* entry = this->FindEntry(key);
      return entry == nullptr ? nullptr : &entry->second;
    }

    // The next version.
    SharedMap Finish() && {
      SharedMap next;
      this->FinishInto(next);
      return next;
    }
  };
};

// For values that hold their own key, which `Hash` and `Eq` look at.
template <typename T, typename Hash, typename Eq>
class SharedSet : public SharedTable<absl::flat_hash_set<T, Hash, Eq>, std::identity> {
  using Table = SharedTable<absl::flat_hash_set<T, Hash, Eq>, std::identity>;

 public:
  // The value, or null. Valid as long as this version of the set lives.
  template <typename Q>
  const T* Find(const Q& key) const {
    return this->FindEntry(key);
  }

  class Edit : public Table::EditBase {
   public:
    explicit Edit(const SharedSet& from) : Table::EditBase(from) {}

    // In the place of an equal one.
    void Set(T value) { this->Put(std::move(value)); }

    template <typename Q>
    const T* Find(const Q& key) const {
      return this->FindEntry(key);
    }

    // The next version.
    SharedSet Finish() && {
      SharedSet next;
      this->FinishInto(next);
      return next;
    }
  };
};

}  // namespace portolan
