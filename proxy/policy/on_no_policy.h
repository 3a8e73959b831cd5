// What is done before the control plane or the disk has said which policies there are.
#pragma once

#include <cstdint>

#include "common/metrics.h"

namespace portolan::proxy {

enum class OnNoPolicy : uint8_t { kOpen, kClosed };

// One writer, the worker's thread; Collect on any.
struct NoPolicyCounters {
  Counter allowed;
  Counter denied;

  // The family portolan_policy_no_state_total, to which all of a sidecar add.
  void Collect(MetricFamilies& families) const {
    const auto add = [&](std::string_view verdict, const Counter& counter) {
      AddCounterSample(families, "portolan_policy_no_state_total",
                       "Connections, UDP flows and names that came before any policy was known.",
                       {{"verdict", verdict}}, static_cast<double>(counter.value()));
    };
    add("allowed", allowed);
    add("denied", denied);
  }
};

}  // namespace portolan::proxy
