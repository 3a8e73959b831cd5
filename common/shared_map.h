// Immutable hash maps and sets that are cheap to derive the next version from.
//
// Snapshots of a cluster hold up to 100,000 entries of which a change touches one. A SharedMap or
// SharedSet is cut into groups of shards, each behind a shared_ptr; Edit copies the shards it
// writes to, with the pointers of their groups, and shares the rest with the version it came from.
// Each pointer that is copied, and let go later, is a wait for memory that nobody touched in
// between: hence the two levels. Reading a finished one needs no lock and is safe from any thread;
// an Edit belongs to one thread.
//
// `Hash` and `Eq` may be transparent; Find then takes any type that they take.
#pragma once

#include <array>
#include <bitset>
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
  // Null stands for empty, at each level. Written to only by the Edit that made it.
  static constexpr size_t kGroups = 32;
  static constexpr size_t kShardsInGroup = 16;
  using Group = std::array<std::shared_ptr<Shard>, kShardsInGroup>;
  using Groups = std::array<std::shared_ptr<Group>, kGroups>;

 public:
  static constexpr size_t kShards = kGroups * kShardsInGroup;
  using Entry = typename Shard::value_type;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The entry, or null. Valid as long as this version of the table lives.
  template <typename Q>
  const Entry* FindEntry(const Q& key) const {
    return FindIn(groups_.get(), key);
  }

  // Calls visit(entry) for each, in no order.
  template <typename F>
  void ForEachEntry(F&& visit) const {
    for (size_t at = 0; at < kShards; ++at) {
      const Shard* shard = ShardAt(groups_.get(), at);
      if (shard == nullptr) continue;
      for (const Entry& entry : *shard) visit(entry);
    }
  }

  // Goes through the entries one by one, in no order, for those who stop on the way.
  class Cursor {
   public:
    // The version it goes through stays as it is, and alive as long as the cursor.
    explicit Cursor(const SharedTable& table) : groups_(table.groups_) {}

    // Null after the last.
    const Entry* Next() {
      while (shard_ < kShards) {
        const Shard* shard = ShardAt(groups_.get(), shard_);
        if (shard != nullptr && !entered_) at_ = shard->begin();
        entered_ = shard != nullptr;
        if (entered_ && at_ != shard->end()) return &*at_++;
        entered_ = false;
        ++shard_;
      }
      return nullptr;
    }

   private:
    std::shared_ptr<const Groups> groups_;
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
      Shard& shard = Writable(PlaceOf(key));
      shard.erase(shard.find(key));
      --size_;
      return true;
    }

    template <typename Q>
    const Entry* FindEntry(const Q& key) const {
      return FindIn(groups_.get(), key);
    }

   protected:
    // Costs nothing until the first change.
    explicit EditBase(const SharedTable& from) : groups_(from.groups_), size_(from.size_) {}

    // In the place of the entry with an equal key.
    template <typename NewEntry>
    void Put(NewEntry entry) {
      Shard& shard = Writable(PlaceOf(KeyOf()(entry)));
      const auto old = shard.find(KeyOf()(entry));
      if (old != shard.end()) {
        shard.erase(old);
      } else {
        ++size_;
      }
      shard.insert(std::move(entry));
    }

    void FinishInto(SharedTable& table) {
      table.groups_ = std::move(groups_);
      table.size_ = size_;
    }

   private:
    Shard& Writable(size_t at) {
      const size_t group_at = at / kShardsInGroup;
      if (!own_groups_) groups_ = CopyOf(groups_);
      own_groups_ = true;
      std::shared_ptr<Group>& group = (*groups_)[group_at];
      if (!own_group_[group_at]) group = CopyOf(group);
      own_group_.set(group_at);
      std::shared_ptr<Shard>& shard = (*group)[at % kShardsInGroup];
      if (!own_shard_[at]) shard = CopyOf(shard);
      own_shard_.set(at);
      return *shard;
    }

    template <typename T>
    static std::shared_ptr<T> CopyOf(const std::shared_ptr<T>& from) {
      return from == nullptr ? std::make_shared<T>() : std::make_shared<T>(*from);
    }

    std::shared_ptr<Groups> groups_;
    // What this edit may write to, since it made it.
    bool own_groups_ = false;
    std::bitset<kGroups> own_group_;
    std::bitset<kShards> own_shard_;
    size_t size_;
  };

 private:
  template <typename Q>
  static size_t PlaceOf(const Q& key) {
    // The low bits choose the slot within a shard; take others here.
    return (typename Shard::hasher()(key) >> 40) % kShards;
  }

  static const Shard* ShardAt(const Groups* groups, size_t at) {
    if (groups == nullptr) return nullptr;
    const Group* group = (*groups)[at / kShardsInGroup].get();
    return group == nullptr ? nullptr : (*group)[at % kShardsInGroup].get();
  }

  template <typename Q>
  static const Entry* FindIn(const Groups* groups, const Q& key) {
    const Shard* shard = ShardAt(groups, PlaceOf(key));
    if (shard == nullptr) return nullptr;
    const auto it = shard->find(key);
    return it == shard->end() ? nullptr : &*it;
  }

  std::shared_ptr<Groups> groups_;
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
