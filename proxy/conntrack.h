// How full the pod's table of tracked connections is: when it is full the kernel drops packets, DNS
// among them, and says so only in its log.
//
// Reads nf_conntrack_count and nf_conntrack_max of the pod's network namespace
// (https://docs.kernel.org/networking/nf_conntrack-sysctl.html) every 10 s; without the module
// there are no metrics. Main thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"

namespace portolan::proxy {

class ConntrackWatch {
 public:
  static constexpr absl::Duration kLookEvery = absl::Seconds(10);
  static constexpr absl::Duration kWarnEvery = absl::Hours(1);
  static constexpr double kNearlyFull = 0.8;

  // `folder` is /proc/sys/net/netfilter but in tests. Looks at once.
  ConntrackWatch(EventLoop& loop, std::string folder);

  // `now` is monotonic. True if a warning was logged.
  bool Look(absl::Duration now);

  void CollectMetrics(MetricFamilies& families) const;

 private:
  std::optional<uint64_t> Read(const char* file) const;
  bool NearlyFull() const;

  const std::string folder_;
  std::optional<uint64_t> entries_;
  std::optional<uint64_t> limit_;
  std::optional<absl::Duration> warned_;
  EventLoop::Timer timer_;
};

}  // namespace portolan::proxy
