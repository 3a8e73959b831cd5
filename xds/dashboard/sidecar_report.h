// What a connected client's subscriptions and a sidecar's reports come to: the same fields and
// words for all pages. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "xds/serving/client_status.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

// StateOf in the words of `istioctl proxy-status`: SYNCED, STALE, NOT SENT, NACKED.
std::string_view SyncWord(const TypeStatus& status);

nlohmann::json TypeJson(const TypeStatus& status);

// A report as the field "report" of /api/v1/sidecars has it; the names that the pod asked for, its
// flows, policies and denials, which are most of it, in kAll alone.
enum class ReportPart : uint8_t { kCounters, kAll };
nlohmann::json ReportJson(const ReportedSidecar& sidecar, ReportPart part, absl::Time now);

// How much `total` of the last report is more than `before` of the one before it, by the second:
// ReportedSidecar says over what time. What counts from its start again has counted so much since.
// REQUIRES: sidecar.previous is not null.
double RateOf(const ReportedSidecar& sidecar, absl::Time now, uint64_t before, uint64_t total);

// {"queriesPerSecond", "nxdomainPerSecond", "cacheHitRatio", "connectionsPerSecond"}; null before
// the second report, as is a ratio of nothing.
nlohmann::json RatesJson(const ReportedSidecar& sidecar, absl::Time now);

uint64_t CountOf(const v1::DnsReport& dns, std::string_view rcode);

struct Lag {
  absl::Duration p50;
  absl::Duration p99;
  std::string worst_type;  // "Endpoints"; empty: no change was acknowledged yet
};
// Of the type whose changes take longest.
Lag LagOf(const ClientStatus& client);

// "ok", or the first of these that holds:
//   nacked          it refused a resource
//   stale           a change has not been acknowledged for kStaleLag, or it says it is not in sync
//   upstream-down   a DNS server failed it between its last two reports and answered nothing,
//                   and the last one is new: one that fails is probed, and that is reported
//   not-reporting   kReportingGrace after it connected there is no report: no sidecar of ours, or
//                   an older one
struct Health {
  std::string_view word;
  std::string why;  // a sentence; empty where it is ok
};
inline constexpr absl::Duration kStaleLag = absl::Seconds(5);
inline constexpr absl::Duration kReportingGrace = absl::Seconds(30);
// `reported` may be null: it has no stream of reports.
Health HealthOf(const ClientStatus& client, const ReportedSidecar* reported, absl::Time now);

}  // namespace portolan::xds
