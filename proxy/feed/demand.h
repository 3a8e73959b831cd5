// The resources of one type that the feed is subscribed to by name: those that were asked for
// lately, a bounded number.
//
// Times are monotonic. One thread.
#pragma once

#include <cstddef>
#include <list>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/time/time.h"

namespace portolan::proxy {

template <typename Key>
class Demand {
 public:
  struct Limits {
    size_t most;
    absl::Duration idle;
  };
  explicit Demand(Limits limits) : limits_(limits) {}

  // True if it was not demanded before.
  bool Ask(const Key& key, absl::Duration now) {
    if (const auto place = places_.find(key); place != places_.end()) {
      (*place)->asked = now;
      by_age_.splice(by_age_.end(), by_age_, *place);
      return false;
    }
    places_.insert(by_age_.insert(by_age_.end(), {key, now}));
    new_.push_back(key);
    return true;
  }
  bool Holds(const Key& key) const { return places_.contains(key); }
  // One more has another given up.
  bool full() const { return places_.size() >= limits_.most; }

  // Gives up what was not asked for within the idle time, and what is over the most, longest
  // unasked first.
  std::vector<Key> TakeIdle(absl::Duration now) {
    std::vector<Key> idle;
    while (!by_age_.empty()) {
      const Entry& oldest = by_age_.front();
      if (places_.size() <= limits_.most && now - oldest.asked < limits_.idle) break;
      idle.push_back(oldest.key);
      places_.erase(by_age_.begin());
      by_age_.pop_front();
    }
    return idle;
  }

  // What is demanded and was not when this was last called.
  std::vector<Key> TakeNew() {
    std::vector<Key> taken = std::exchange(new_, {});
    std::erase_if(taken, [this](const Key& key) { return !Holds(key); });
    return taken;
  }

  size_t size() const { return places_.size(); }
  // visit(const Key&), the longest unasked first.
  template <typename F>
  void ForEach(F&& visit) const {
    for (const Entry& entry : by_age_) visit(entry.key);
  }

 private:
  struct Entry {
    Key key;
    absl::Duration asked;
  };
  using Place = typename std::list<Entry>::iterator;

  // By the key that is in the list alone.
  static const Key& KeyOf(const Key& key) { return key; }
  static const Key& KeyOf(Place place) { return place->key; }
  struct Hash {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& at) const {
      return absl::HashOf(KeyOf(at));
    }
  };
  struct Eq {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return KeyOf(a) == KeyOf(b);
    }
  };

  const Limits limits_;
  std::list<Entry> by_age_;  // the longest unasked first
  absl::flat_hash_set<Place, Hash, Eq> places_;
  std::vector<Key> new_;
};

}  // namespace portolan::proxy
