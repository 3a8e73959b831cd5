#include "xds/policy_status/enforcement.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace portolan::xds {
namespace {

constexpr std::string_view kDnsEgressPolicies = "DNSEgressPolicy/";

// Of a pod's policies, which are sorted.
template <typename F>
void ForEachDnsEgressPolicy(const std::vector<std::string>& names, F&& visit) {
  auto at = std::lower_bound(names.begin(), names.end(), kDnsEgressPolicies);
  for (; at != names.end() && at->starts_with(kDnsEgressPolicies); ++at) visit(*at);
}

void CountSidecar(const ReportedSidecar& sidecar, const std::vector<std::string>& names,
                  EnforcementByPolicy& counts) {
  if (sidecar.report == nullptr || !sidecar.report->policy().known()) return;
  const v1::PolicyReport& report = sidecar.report->policy();
  ForEachDnsEgressPolicy(names, [&](const std::string& name) {
    const auto& reported = report.policies();
    if (std::find(reported.begin(), reported.end(), name) == reported.end()) return;
    Enforcement& of_policy = counts[name];
    ++(report.partly_enforced() ? of_policy.partly : of_policy.enforcing);
  });
}

}  // namespace

EnforcementByPolicy EnforcementHere(const Snapshot& snapshot, const PolicySnapshot& policies,
                                    const std::vector<ReportedSidecar>& sidecars) {
  EnforcementByPolicy counts;
  const auto counts_as_selected = [&](std::string_view pod_key) {
    const Pod* pod = snapshot.FindPod(pod_key);
    return pod != nullptr && !pod->finished;
  };
  policies.ForEachPod([&](const std::string& key, const PolicyNames& names) {
    ForEachDnsEgressPolicy(names.egress, [&](const std::string& name) {
      if (counts_as_selected(key)) ++counts[name].selected_pods;
    });
  });
  for (const ReportedSidecar& sidecar : sidecars) {
    const PolicyNames* names = policies.FindPolicies(sidecar.node_id);
    if (names == nullptr || !counts_as_selected(sidecar.node_id)) continue;
    CountSidecar(sidecar, names->egress, counts);
  }
  return counts;
}

}  // namespace portolan::xds
