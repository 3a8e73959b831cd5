#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

PolicyState PolicyStateOf(const ReportedSidecar& sidecar) {
  if (sidecar.report == nullptr || !sidecar.report->policy().known()) return PolicyState::kUnknown;
  const v1::PolicyReport& policy = sidecar.report->policy();
  if (policy.policies().empty() && policy.other_policies() == 0) return PolicyState::kNone;
  return policy.partly_enforced() ? PolicyState::kPartly : PolicyState::kEnforced;
}

std::string_view Word(PolicyState state) {
  switch (state) {
    case PolicyState::kUnknown:
      return "unknown";
    case PolicyState::kNone:
      return "none";
    case PolicyState::kPartly:
      return "partly";
    case PolicyState::kEnforced:
      break;
  }
  return "enforced";
}

}  // namespace portolan::xds
