#include "proxy/reporting/report.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "common/monotonic.h"
#include "proxy/reporting/report_text.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

std::string_view LabelOf(const ClientMetric& sample, std::string_view name) {
  for (const auto& label : sample.label) {
    if (label.name == name) return label.value;
  }
  return {};
}

uint64_t ValueOf(const ClientMetric& sample, prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return static_cast<uint64_t>(sample.counter.value);
    case prometheus::MetricType::Histogram:
      return sample.histogram.sample_count;
    default:
      return static_cast<uint64_t>(sample.gauge.value);
  }
}

// Samples added up by a label; with none, under "".
std::map<std::string_view, uint64_t> SumBy(const MetricFamilies& families, std::string_view name,
                                           std::string_view label) {
  std::map<std::string_view, uint64_t> sums;
  const auto family = std::find_if(families.begin(), families.end(),
                                   [&](const MetricFamily& f) { return f.name == name; });
  if (family == families.end()) return sums;
  for (const ClientMetric& sample : family->metric) {
    sums[LabelOf(sample, label)] += ValueOf(sample, family->type);
  }
  return sums;
}

uint64_t Sum(const MetricFamilies& families, std::string_view name) {
  return SumBy(families, name, "")[""];
}

void SetFeed(const FeedStatus& feed, v1::FeedReport& out) {
  out.set_in_sync(feed.in_sync);
  if (!feed.in_sync && feed.last_sync != -absl::InfiniteDuration()) {
    // In seconds, or it would be another one each time.
    out.set_last_sync_unix_ms(absl::ToUnixSeconds(absl::Now() - feed.Age(Monotonic())) * 1000);
  }
  out.set_source(std::string(SourceName(feed.source)));
  for (const FeedStatus::Type& type : feed.types) {
    v1::FeedTypeReport& one = *out.add_types();
    one.set_type_url(std::string(type.type_url));
    one.set_synced(type.synced);
    one.set_held(type.held);
    one.set_nacks(type.nacks);
    one.set_last_nack(ReportText(type.last_nack, api::kMaxReportTextBytes));
  }
}

void SetUpstreams(const MetricFamilies& families, v1::DnsReport& out) {
  const auto answers = SumBy(families, "coredns_proxy_request_duration_seconds", "to");
  const auto failures = SumBy(families, "portolan_upstream_server_failures_total", "to");
  const auto probes = SumBy(families, "coredns_proxy_healthcheck_failures_total", "to");
  const auto of = [](const auto& sums, std::string_view to) {
    const auto found = sums.find(to);
    return found == sums.end() ? 0 : found->second;
  };
  // Of each upstream there are failures, be it 0.
  for (const auto& [to, failed] : failures) {
    if (out.upstreams_size() == api::kMaxReportedUpstreams) return;
    v1::UpstreamReport& upstream = *out.add_upstreams();
    upstream.set_address(std::string(to));
    upstream.set_answers(of(answers, to));
    upstream.set_failures(failed);
    upstream.set_failed_probes(of(probes, to));
  }
}

void SetDns(const MetricFamilies& families, v1::DnsReport& out) {
  out.set_queries(Sum(families, "coredns_dns_requests_total"));
  for (const auto& [word, count] : SumBy(families, "coredns_dns_responses_total", "rcode")) {
    v1::RcodeReport& rcode = *out.add_responses();
    rcode.set_rcode(std::string(word));
    rcode.set_count(count);
  }
  out.set_cache_hits(Sum(families, "coredns_cache_hits_total"));
  out.set_cache_misses(Sum(families, "coredns_cache_misses_total"));
  SetUpstreams(families, out);
}

void SetForwarder(const MetricFamilies& families, v1::ForwarderReport& out) {
  for (const auto& [outcome, count] :
       SumBy(families, "portolan_forwarder_connections_total", "outcome")) {
    const bool joined = outcome == "forwarded" || outcome == "passed_through";
    if (joined) {
      out.set_connections(out.connections() + count);
    } else {
      out.set_failures(out.failures() + count);
    }
  }
  auto bytes = SumBy(families, "portolan_forwarder_bytes_total", "direction");
  auto udp_bytes = SumBy(families, "portolan_forwarder_udp_bytes_total", "direction");
  out.set_active(Sum(families, "portolan_forwarder_active_connections"));
  out.set_bytes_up(bytes["up"]);
  out.set_bytes_down(bytes["down"]);
  out.set_udp_flows(Sum(families, "portolan_forwarder_udp_flows_opened_total"));
  out.set_udp_bytes_up(udp_bytes["up"]);
  out.set_udp_bytes_down(udp_bytes["down"]);
}

}  // namespace

v1::SidecarReport MakeReport(const FeedStatus& feed, const MetricFamilies& families) {
  v1::SidecarReport report;
  SetFeed(feed, *report.mutable_feed());
  SetDns(families, *report.mutable_dns());
  SetForwarder(families, *report.mutable_forwarder());
  report.mutable_endpoints()->set_held(Sum(families, "portolan_feed_endpoints_held"));
  report.mutable_endpoints()->set_wanted(Sum(families, "portolan_feed_endpoints_wanted"));
  return report;
}

void WorkerReports::AddTo(v1::SidecarReport& report, const std::vector<WorkerReport>& workers,
                          const ServiceMetrics::Flows& services, const Snapshot& snapshot,
                          std::string_view cluster_domain) {
  std::vector<AskedNames::View> asked;
  std::vector<PassedThrough::View> passed_through;
  for (const WorkerReport& worker : workers) {
    asked.push_back(worker.asked);
    passed_through.push_back(worker.passed_through);
  }
  v1::NamesReport* names = names_ == AskedNames::Names::kCounted ? report.mutable_names() : nullptr;
  SetAsked(asked, snapshot, cluster_domain, clock_, names, *report.mutable_amplification());
  *report.mutable_flows() = flows_.Make(services, passed_through, absl::Now());
}

}  // namespace portolan::proxy
