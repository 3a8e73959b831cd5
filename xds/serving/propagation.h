// How long changes of the cluster take to their clients: from the moment that the event arrived at
// the control plane until a response with it was sent, and until the client acknowledged it.
//
// What a client is sent because it asked is no change. Any thread; behind a lock, which every
// acknowledgement takes once.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class PropagationTimes {
 public:
  enum class Stage : uint8_t { kSent, kAcknowledged };

  void Observe(ResourceType type, Stage stage, absl::Duration since_event);
  // portolan_propagation_seconds, by type and stage; of types that were observed.
  void AddMetrics(MetricFamilies& families) const;

 private:
  struct Stages {
    Stages();
    Histogram sent;
    Histogram acknowledged;
  };

  Guarded<std::array<Stages, kResourceTypes>> types_;
};

}  // namespace portolan::xds
