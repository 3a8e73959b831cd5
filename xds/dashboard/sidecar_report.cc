#include "xds/dashboard/sidecar_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "directory/listing.h"
#include "xds/api/sidecar_limits.h"
#include "xds/dashboard/report_json.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

// "Endpoints"
std::string ShortType(const TypeStatus& status) {
  const size_t dot = status.type_url.rfind('.');
  return dot == std::string::npos ? status.type_url : status.type_url.substr(dot + 1);
}

// Counters begin anew where something was reset.
uint64_t Since(uint64_t before, uint64_t total) { return total >= before ? total - before : total; }

json FeedJson(const v1::FeedReport& feed) {
  json types = json::array();
  for (const v1::FeedTypeReport& type : feed.types()) {
    json one = {{"typeUrl", type.type_url()},
                {"synced", type.synced()},
                {"held", type.held()},
                {"nacks", type.nacks()}};
    if (!type.last_nack().empty()) one["lastNack"] = type.last_nack();
    types.push_back(std::move(one));
  }
  json out = {{"inSync", feed.in_sync()}, {"source", feed.source()}, {"types", std::move(types)}};
  if (feed.last_sync_unix_ms() != 0) {
    out["lastSync"] = TimeJson(absl::FromUnixMillis(feed.last_sync_unix_ms()));
  }
  return out;
}

bool IsOld(const ReportedSidecar& sidecar, absl::Time now) {
  return now - sidecar.reported > 2 * api::kReportEvery;
}

// `upstream`, of the last report, failed since the one before it and answered nothing. Its totals
// alone do not say so: they never fall.
bool IsDown(const v1::UpstreamReport& upstream, const ReportedSidecar& sidecar, absl::Time now) {
  if (sidecar.previous == nullptr || IsOld(sidecar, now)) return false;
  const auto& before = sidecar.previous->dns().upstreams();
  const auto was = std::find_if(before.begin(), before.end(), [&](const auto& one) {
    return one.address() == upstream.address();
  });
  if (was == before.end()) return false;
  const uint64_t failed = Since(was->failures(), upstream.failures()) +
                          Since(was->failed_probes(), upstream.failed_probes());
  return failed > 0 && upstream.answers() == was->answers();
}

json DnsJson(const ReportedSidecar& sidecar, absl::Time now) {
  const v1::DnsReport& dns = sidecar.report->dns();
  json responses = json::object();
  for (const v1::RcodeReport& rcode : dns.responses()) responses[rcode.rcode()] = rcode.count();
  json upstreams = json::array();
  for (const v1::UpstreamReport& upstream : dns.upstreams()) {
    upstreams.push_back({{"address", upstream.address()},
                         {"down", IsDown(upstream, sidecar, now)},
                         {"answers", upstream.answers()},
                         {"failures", upstream.failures()},
                         {"failedProbes", upstream.failed_probes()}});
  }
  return {{"queries", dns.queries()},
          {"responses", std::move(responses)},
          {"cacheHits", dns.cache_hits()},
          {"cacheMisses", dns.cache_misses()},
          {"upstreams", std::move(upstreams)}};
}

json ForwarderJson(const v1::ForwarderReport& forwarder) {
  return {{"connections", forwarder.connections()}, {"failures", forwarder.failures()},
          {"active", forwarder.active()},           {"bytesUp", forwarder.bytes_up()},
          {"bytesDown", forwarder.bytes_down()},    {"udpFlows", forwarder.udp_flows()},
          {"udpBytesUp", forwarder.udp_bytes_up()}, {"udpBytesDown", forwarder.udp_bytes_down()}};
}

}  // namespace

std::string_view SyncWord(const TypeStatus& status) {
  switch (StateOf(status)) {
    case SyncState::kNotSent:
      return "NOT SENT";
    case SyncState::kSynced:
      return "SYNCED";
    case SyncState::kStale:
      return "STALE";
    case SyncState::kRefused:
      return "NACKED";
  }
  return "";
}

json TypeJson(const TypeStatus& status) {
  json out = {{"type", ShortType(status)},
              {"typeUrl", status.type_url},
              {"status", SyncWord(status)},
              {"wildcard", status.wildcard},
              {"subscribedNames", status.subscribed_names},
              {"sentGeneration", status.sent_generation},
              {"acknowledgedGeneration", status.acknowledged_generation},
              {"lastSent", TimeJson(status.last_sent)},
              {"lastAcknowledged", TimeJson(status.last_acknowledged)},
              {"lagMs", absl::ToInt64Milliseconds(status.lag)},
              {"lastPropagationMs", absl::ToDoubleMilliseconds(status.last_propagation)},
              {"nacks", status.nacks}};
  if (status.propagation_p99 > absl::ZeroDuration()) {
    out["propagationP50Ms"] = absl::ToDoubleMilliseconds(status.propagation_p50);
    out["propagationP99Ms"] = absl::ToDoubleMilliseconds(status.propagation_p99);
  }
  if (!status.last_nack.empty()) out["lastNack"] = status.last_nack;
  if (!status.names.empty()) out["names"] = status.names;
  return out;
}

json ReportJson(const ReportedSidecar& sidecar, ReportPart part, absl::Time now) {
  if (sidecar.report == nullptr) return nullptr;
  const v1::SidecarReport& report = *sidecar.report;
  json out = {{"received", TimeJson(sidecar.reported)},
              {"started", TimeJson(sidecar.started)},
              {"feed", FeedJson(report.feed())},
              {"dns", DnsJson(sidecar, now)},
              {"forwarder", ForwarderJson(report.forwarder())},
              {"endpoints",
               {{"held", report.endpoints().held()}, {"wanted", report.endpoints().wanted()}}}};
  // A sidecar that is to report no names has no such part, an older one none of these.
  const bool all = part == ReportPart::kAll;
  if (all && report.has_names()) out["names"] = NamesJson(report.names());
  if (all && report.has_flows()) out["flows"] = FlowsJson(report.flows());
  if (report.has_policy()) {
    out["policy"] = PolicyJson(report.policy(), all ? PolicyLists::kShown : PolicyLists::kLeftOut);
  }
  if (report.has_amplification()) {
    out["amplification"] = AmplificationJson(report.amplification());
  }
  return out;
}

double RateOf(const ReportedSidecar& sidecar, absl::Time now, uint64_t before, uint64_t total) {
  if (IsOld(sidecar, now)) return 0;
  const absl::Duration between = std::clamp(sidecar.reported - sidecar.previous_reported,
                                            absl::Milliseconds(100), api::kReportEvery);
  return static_cast<double>(Since(before, total)) / absl::ToDoubleSeconds(between);
}

uint64_t CountOf(const v1::DnsReport& dns, std::string_view rcode) {
  for (const v1::RcodeReport& one : dns.responses()) {
    if (one.rcode() == rcode) return one.count();
  }
  return 0;
}

json RatesJson(const ReportedSidecar& sidecar, absl::Time now) {
  if (sidecar.report == nullptr || sidecar.previous == nullptr) return nullptr;
  const v1::DnsReport& dns = sidecar.report->dns();
  const v1::DnsReport& before = sidecar.previous->dns();
  const uint64_t hits = Since(before.cache_hits(), dns.cache_hits());
  const uint64_t lookups = hits + Since(before.cache_misses(), dns.cache_misses());
  json ratio;
  if (lookups > 0) ratio = static_cast<double>(hits) / static_cast<double>(lookups);
  const auto rate = [&](uint64_t was, uint64_t is) { return RateOf(sidecar, now, was, is); };
  return {{"queriesPerSecond", rate(before.queries(), dns.queries())},
          {"nxdomainPerSecond", rate(CountOf(before, "NXDOMAIN"), CountOf(dns, "NXDOMAIN"))},
          {"cacheHitRatio", std::move(ratio)},
          {"connectionsPerSecond", rate(sidecar.previous->forwarder().connections(),
                                        sidecar.report->forwarder().connections())}};
}

Lag LagOf(const ClientStatus& client) {
  Lag worst;
  for (const TypeStatus& type : client.types) {
    if (type.propagation_p99 <= worst.p99) continue;
    worst = {type.propagation_p50, type.propagation_p99, ShortType(type)};
  }
  return worst;
}

Health HealthOf(const ClientStatus& client, const ReportedSidecar* reported, absl::Time now) {
  for (const TypeStatus& type : client.types) {
    if (StateOf(type) != SyncState::kRefused) continue;
    return {"nacked", fmt::format("it refused the last {}: {}", ShortType(type), type.last_nack)};
  }
  for (const TypeStatus& type : client.types) {
    if (type.lag < kStaleLag) continue;
    return {"stale",
            fmt::format("a change of {} has waited for its acknowledgement for {}", ShortType(type),
                        absl::FormatDuration(absl::Trunc(type.lag, absl::Seconds(1))))};
  }
  if (reported == nullptr || reported->report == nullptr) {
    if (now - client.connected < kReportingGrace) return {"ok", {}};
    return {"not-reporting", "it has sent no report: no sidecar of ours, or an older one"};
  }
  // Before its first set a sidecar is not in sync either.
  if (!reported->report->feed().in_sync() && now - client.connected >= kReportingGrace) {
    return {"stale", "it says that its feed is not in sync"};
  }
  for (const v1::UpstreamReport& upstream : reported->report->dns().upstreams()) {
    if (!IsDown(upstream, *reported, now)) continue;
    return {"upstream-down", fmt::format("its DNS server {} does not answer", upstream.address())};
  }
  return {"ok", {}};
}

}  // namespace portolan::xds
