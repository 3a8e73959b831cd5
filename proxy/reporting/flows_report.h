// Where connections and UDP flows go, as the report says it. The main loop's thread.
#pragma once

#include <cstdint>
#include <span>

#include "absl/time/time.h"
#include "common/string_map.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/forwarder/passed_through.h"
#include "proxy/forwarder/service_metrics.h"

namespace portolan::proxy {

// Knows what the report before said, and so what was dialled since.
class FlowsReporter {
 public:
  v1::FlowsReport Make(const ServiceMetrics::Flows& services,
                       std::span<const PassedThrough::View> workers, absl::Time now);

 private:
  struct Seen {
    FlowCounts counts;
    int64_t at = 0;
  };
  StringMap<Seen> seen_;  // of what is counted now
};

}  // namespace portolan::proxy
