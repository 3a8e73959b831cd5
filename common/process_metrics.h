// What every Prometheus client says of its process, under the names that dashboards ask for
// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics): CPU, memory,
// descriptors and start. Read out of /proc when the page is asked for; any thread.
#pragma once

#include "common/metrics.h"

namespace portolan {

void AddProcessMetrics(MetricFamilies& families);

}  // namespace portolan
