// The report of a sidecar: its state as of now, out of what its pages show anyway, so that nothing
// is counted for it. What the fields mean is in portolan/v1/sidecars.proto. The main loop's thread.
#pragma once

#include "common/metrics.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/feed/feed.h"

namespace portolan::proxy {

// Lists are cut at what the control plane takes.
v1::SidecarReport MakeReport(const FeedStatus& feed, const MetricFamilies& families);

}  // namespace portolan::proxy
