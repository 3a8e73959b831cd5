// What the feed counts. Written by the loop's thread alone; AddSamples may be called from any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "common/metrics.h"

namespace portolan::proxy {

// The types that the feed subscribes to.
inline constexpr size_t kFeedTypeCount = 9;

struct FeedMetrics {
  struct OfType {
    Counter responses;
    Counter resources;
    Counter removed;
    Counter nacks;
    std::atomic<uint64_t> held{0};
  };
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min();

  std::array<OfType, kFeedTypeCount> types;
  Counter unknown_type_responses;
  Counter connects;
  Counter unusable_cas;
  Counter unusable_tokens;
  Counter probes;
  Counter received_bytes;
  Counter state_writes;
  Counter state_write_failures;
  std::atomic<bool> connected{false};
  std::atomic<bool> in_sync{false};
  std::atomic<bool> proxy_config_missing{false};
  std::atomic<bool> policy_in_transit{false};
  std::atomic<uint64_t> endpoints_in_transit{0};
  // Services, where endpoints are had on demand: those that are wanted, those whose endpoints are
  // held by now, and how often they were given up again.
  std::atomic<uint64_t> endpoints_wanted{0};
  std::atomic<uint64_t> endpoints_held{0};
  Counter endpoints_given_up;
  // As Monotonic() has it; while in_sync the last sync is now.
  std::atomic<int64_t> last_sync_ms{kNever};

  void AddSamples(MetricFamilies& families) const;
};

}  // namespace portolan::proxy
