// The words of the directive `cache`. Values; any thread.
//
//   cache [TTL] [ZONES...] {
//       success CAPACITY [TTL] [MINTTL]         default 9984 3600 5
//       denial CAPACITY [TTL] [MINTTL]          default 9984 1800 5
//       prefetch AMOUNT [DURATION [PERCENTAGE%]]
//       serve_stale [DURATION [immediate | verify [TIMEOUT]]]
//       servfail DURATION                       default 5s
//       disable success|denial [ZONES...]
//       keepttl
//   }
//
// https://coredns.io/plugins/cache/
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dns/corefile/ast.h"
#include "dns/plugins/cache_store.h"
#include "dns/wire/name.h"

namespace portolan::dns {

struct CacheConfig {
  struct OfKind {
    size_t capacity = 9984;  // of all workers
    uint32_t max_ttl = 3600;
    uint32_t min_ttl = 5;
    // Zones of which nothing of the kind is stored.
    std::vector<wire::Zone> disabled = {};
  };
  enum class Refresh : uint8_t { kImmediate, kVerify };

  std::vector<wire::Zone> zones;
  std::array<OfKind, kCacheKinds> kinds = {OfKind{}, OfKind{.max_ttl = 1800}};  // by CacheKind

  // How often a reply must have been asked for, with pauses below `prefetch_pause`, to be renewed
  // once at most `prefetch_percentage` of its TTL is left. 0: never.
  uint32_t prefetch_amount = 0;
  absl::Duration prefetch_pause = absl::Minutes(1);
  uint32_t prefetch_percentage = 10;

  // For how long after its end a reply may be served. Zero: not at all.
  absl::Duration stale;
  Refresh refresh = Refresh::kImmediate;
  // How long the upstream is waited for before a stale reply is served; zero: until it has failed.
  absl::Duration verify_timeout;

  uint32_t servfail_ttl = 5;
  bool keep_ttl = false;
};

// `block_zones` are cached where the directive names none. Errors are Token::Error.
absl::StatusOr<CacheConfig> ParseCache(const corefile::Directive& directive,
                                       const std::vector<wire::Zone>& block_zones);

}  // namespace portolan::dns
