#include "proxy/reporting/flows_report.h"

#include <string>
#include <utility>
#include <vector>

#include "proxy/reporting/busiest.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

struct Destination {
  bool service = false;
  FlowCounts counts;
  int64_t last_seen = 0;
};

}  // namespace

v1::FlowsReport FlowsReporter::Make(const ServiceMetrics::Flows& services,
                                    std::span<const PassedThrough::View> workers, absl::Time now) {
  uint64_t others = services.other.times();
  StringMap<FlowCounts> addresses;
  for (const PassedThrough::View& worker : workers) {
    others += worker.others.times();
    for (const auto& [ip, counts] : worker.by_address) addresses[ip.ToString()].Add(counts);
  }
  std::vector<std::pair<std::string, Destination>> all;
  for (const auto& [name, counts] : services.by_service) {
    all.push_back({name.ToString(), {true, counts}});
  }
  for (const auto& [address, counts] : addresses) all.push_back({address, {false, counts}});

  StringMap<Seen> seen;
  for (auto& [key, destination] : all) {
    const auto before = seen_.find(key);
    const bool is_same = before != seen_.end() && before->second.counts == destination.counts;
    destination.last_seen = is_same ? before->second.at : absl::ToUnixSeconds(now);
    seen[key] = {destination.counts, destination.last_seen};
  }
  seen_ = std::move(seen);

  const auto times = [](const Destination& destination) { return destination.counts.times(); };
  for (const auto& [key, destination] : KeepBusiest(all, api::kMaxReportedFlows, times)) {
    others += destination.counts.times();
  }
  v1::FlowsReport report;
  report.set_others(others);
  for (auto& [key, destination] : all) {
    v1::Flow& flow = *report.add_flows();
    destination.service ? flow.set_service(key) : flow.set_address(key);
    flow.set_connections(destination.counts.connections);
    flow.set_failures(destination.counts.failures);
    flow.set_bytes_up(destination.counts.bytes_up);
    flow.set_bytes_down(destination.counts.bytes_down);
    flow.set_udp_flows(destination.counts.udp_flows);
    flow.set_last_seen_unix_s(destination.last_seen);
  }
  return report;
}

}  // namespace portolan::proxy
