// What one worker's caches hold, across changes of its configuration.
//
//   auto store = stores.Of(key, capacity);   // the one of the chain before, if its key is the same
//
// A key says all that decides on what a store holds: of which questions, and who answered them. A
// store lives as long as a cache that has it: chains are made while those before them still live.
// The worker's thread only; outlives the chains.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "dns/plugins/cache_store.h"

namespace portolan::dns {

class CacheStores {
 public:
  std::shared_ptr<CacheStore> Of(const std::string& key,
                                 const std::array<size_t, kCacheKinds>& capacity) {
    std::erase_if(stores_, [](const auto& store) { return store.second.expired(); });
    std::shared_ptr<CacheStore> store = stores_[key].lock();
    if (store == nullptr) {
      store = std::make_shared<CacheStore>(capacity);
      stores_[key] = store;
    }
    return store;
  }

 private:
  std::map<std::string, std::weak_ptr<CacheStore>> stores_;
};

}  // namespace portolan::dns
