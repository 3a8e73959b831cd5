// The report of a sidecar: its state as of now, out of what its pages show anyway, and what the
// workers count for it. What the fields mean is in portolan/v1/sidecars.proto. The main loop's
// thread.
#pragma once

#include <string_view>
#include <vector>

#include "common/metrics.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/feed/feed.h"
#include "proxy/reporting/flows_report.h"
#include "proxy/reporting/names_report.h"
#include "proxy/reporting/worker_report.h"

namespace portolan::proxy {

// Upstreams beyond what the control plane takes are left out; of feed types and rcodes there are
// never as many.
v1::SidecarReport MakeReport(const FeedStatus& feed, const MetricFamilies& families);

// The parts that the workers count for it.
class WorkerReports {
 public:
  // `names` as in WorkerOptions.
  explicit WorkerReports(AskedNames::Names names) : names_(names) {}

  void AddTo(v1::SidecarReport& report, const std::vector<WorkerReport>& workers,
             const ServiceMetrics::Flows& services, const Snapshot& snapshot,
             std::string_view cluster_domain);

 private:
  const AskedNames::Names names_;
  WallClock clock_;
  FlowsReporter flows_;
};

}  // namespace portolan::proxy
