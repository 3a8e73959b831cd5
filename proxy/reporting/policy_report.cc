#include "proxy/reporting/policy_report.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "proxy/reporting/report_text.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

// Of the 64 KB of a report, that the other lists leave room for theirs at their longest.
constexpr size_t kMostPolicyBytes = 8 << 10;
constexpr size_t kMostDenialBytes = 16 << 10;

v1::DenialReport::What ToProto(Denied what) {
  switch (what) {
    case Denied::kConnection:
      return v1::DenialReport::CONNECTION;
    case Denied::kFlow:
      return v1::DenialReport::FLOW;
    case Denied::kName:
      return v1::DenialReport::NAME;
    case Denied::kDns:
      return v1::DenialReport::DNS;
    case Denied::kInbound:
      return v1::DenialReport::INBOUND;
    case Denied::kServerName:
      return v1::DenialReport::SERVER_NAME;
  }
  return v1::DenialReport::CONNECTION;
}

void SetAddress(const SocketAddress& address, v1::DenialReport& out) {
  out.set_address(address.ip.ToString());
  out.set_port(address.port);
}

// Who or what was denied.
void SetSubject(const Denial& denial, v1::DenialReport& out) {
  const auto name = denial.name.view();
  if (name.empty()) {
    out.set_name(ReportText(denial.service.view(), api::kMaxReportTextBytes));
  } else {
    out.set_name(ReportName({reinterpret_cast<const char*>(name.data()), name.size()}));
  }
  switch (denial.what) {
    case Denied::kConnection:
    case Denied::kFlow:
    case Denied::kInbound:
    case Denied::kServerName:
      return SetAddress(denial.judged(), out);
    case Denied::kName:
    case Denied::kDns:
      return;
  }
}

dns::Exchange::Time TimeOf(absl::Duration monotonic) {
  return dns::Exchange::Time(absl::ToChronoNanoseconds(monotonic));
}

// One kind of each, added up over all workers: the latest first.
std::vector<DenialTable::Kind> Merge(std::span<const std::vector<DenialTable::Kind>> workers) {
  std::vector<const DenialTable::Kind*> all;
  for (const auto& kinds : workers) {
    for (const DenialTable::Kind& kind : kinds) all.push_back(&kind);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto* a, const auto* b) { return a->last > b->last; });
  std::vector<DenialTable::Kind> merged;
  for (const DenialTable::Kind* kind : all) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const auto& one) {
      return IsSameKind(one.latest, kind->latest);
    });
    if (same != merged.end()) {
      same->count += kind->count;
    } else if (merged.size() < api::kMaxReportedDenials) {
      merged.push_back(*kind);
    }
  }
  return merged;
}

}  // namespace

LatestDenials::Told LatestDenials::TellOf(const DenialTable::Kind& kind,
                                          const RulesInForce& in_force) const {
  const Denial& denial = kind.latest;
  const auto before = std::find_if(told_.begin(), told_.end(), [&](const Told& told) {
    return IsSameKind(told.denial, denial);
  });
  if (before != told_.end()) {
    const bool is_told = before->rules.lock() == denial.rules && before->denial.to() == denial.to();
    if (is_told || !kind.is_new) return *before;
  }
  Told told{.denial = denial};
  if (told.denial.rules == nullptr && !kind.is_new) {
    told.denial.rules = denial.what == Denied::kInbound ? in_force.ingress : in_force.egress;
  }
  if (told.denial.rules != nullptr) {
    told.policies = ReportText(PoliciesText(told.denial), api::kMaxReportedPoliciesBytes);
    told.nearest = ReportText(NearestRule(told.denial), api::kMaxReportedNearestBytes);
  }
  told.rules = std::exchange(told.denial.rules, nullptr);
  return told;
}

std::vector<v1::DenialReport> LatestDenials::Make(
    std::span<const std::vector<DenialTable::Kind>> workers, const RulesInForce& in_force) {
  std::vector<v1::DenialReport> reports;
  std::vector<Told> told;
  for (const DenialTable::Kind& kind : Merge(workers)) {
    told.push_back(TellOf(kind, in_force));
    v1::DenialReport& report = reports.emplace_back();
    report.set_what(ToProto(kind.latest.what));
    report.set_audit(kind.latest.mode == PolicyMode::kAudit);
    SetSubject(kind.latest, report);
    report.set_policies(told.back().policies);
    report.set_nearest(told.back().nearest);
    report.set_count(kind.count);
    report.set_last_unix_s(clock_.UnixSeconds(TimeOf(kind.last)));
  }
  told_ = std::move(told);
  return reports;
}

v1::PolicyReport MakePolicyReport(const RulesInForce& in_force, bool partly_enforced,
                                  std::vector<v1::DenialReport> denials) {
  v1::PolicyReport report;
  report.set_known(in_force.egress != nullptr);
  report.set_partly_enforced(partly_enforced);
  if (report.known()) {
    std::vector<std::string> names;
    for (const auto& rules : {in_force.egress, in_force.ingress}) {
      if (rules == nullptr) continue;
      for (const PolicyInput& policy : rules->policies()) names.push_back(policy.name);
    }
    std::sort(names.begin(), names.end());
    size_t bytes = 0;
    for (std::string& name : names) {
      const bool fits = name.size() <= api::kMaxReportedPolicyNameBytes &&
                        report.policies_size() < api::kMaxReportedPolicies &&
                        bytes + name.size() <= kMostPolicyBytes;
      if (!fits) {
        report.set_other_policies(report.other_policies() + 1);
        continue;
      }
      bytes += name.size();
      report.add_policies(std::move(name));
    }
  }
  size_t bytes = 0;
  for (v1::DenialReport& denial : denials) {
    bytes += denial.ByteSizeLong();
    if (bytes > kMostDenialBytes) break;
    *report.add_denials() = std::move(denial);
  }
  return report;
}

}  // namespace portolan::proxy
