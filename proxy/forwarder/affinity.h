// Session affinity ClientIP of one Service port in one IP family: the endpoint that the pod's
// connections stay with,
// https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity.
//
// kube-proxy keeps an endpoint for each client address. All clients of a sidecar are one pod, so
// one is kept here. Any thread, without a lock: the workers of a sidecar share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace portolan::proxy {

class Affinity {
 public:
  // Stands for an endpoint; whoever uses it knows which.
  using Tag = uint32_t;

  // What is kept at `now` (monotonic), if it was used within `timeout`.
  struct Kept {
    std::optional<Tag> endpoint;

   private:
    friend class Affinity;
    uint64_t raw = 0;
  };
  Kept Look(absl::Duration now, absl::Duration timeout) const {
    Kept kept;
    kept.raw = raw_.load(std::memory_order_relaxed);
    const auto used = static_cast<uint32_t>(kept.raw >> 32);
    // Up to a tick too long rather than too short.
    if (used != 0 && (Ticks(now) - used) * kTick <= timeout) {
      kept.endpoint = static_cast<Tag>(kept.raw);
    }
    return kept;
  }

  // Keeps `endpoint` as used at `now`. False if another thread has kept one since `seen` was looked
  // up: look again.
  bool Keep(const Kept& seen, Tag endpoint, absl::Duration now) {
    uint64_t expected = seen.raw;
    return raw_.compare_exchange_strong(expected, uint64_t{Ticks(now)} << 32 | endpoint,
                                        std::memory_order_relaxed);
  }

 private:
  static constexpr absl::Duration kTick = absl::Milliseconds(100);
  // From 1, as 0 stands for never. Unsigned, so that ages hold when it wraps after 13 years.
  static uint32_t Ticks(absl::Duration now) { return static_cast<uint32_t>(now / kTick) + 1; }

  std::atomic<uint64_t> raw_{0};  // when it was used last, and the tag
};

}  // namespace portolan::proxy
