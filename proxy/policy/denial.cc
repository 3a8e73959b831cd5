#include "proxy/policy/denial.h"

#include <algorithm>

namespace portolan::proxy {

bool IsSameKind(const Denial& a, const Denial& b) {
  if (a.what != b.what || a.mode != b.mode || a.judged().port != b.judged().port) {
    return false;
  }
  if (!(a.service == b.service) || a.unheld != b.unheld) return false;
  const bool is_service = !a.service.view().empty();
  if (!is_service && a.judged().ip != b.judged().ip) return false;
  return std::ranges::equal(a.name.view(), b.name.view());
}

const std::vector<std::string>& PoliciesOf(const Denial& denial) {
  const EgressRules& rules = *denial.rules;
  const bool audit = denial.mode == PolicyMode::kAudit;
  if (denial.what == Denied::kName) {
    return audit ? rules.auditing_names() : rules.isolating_names();
  }
  return audit ? rules.auditing() : rules.isolating();
}

std::string_view PoliciesText(const Denial& denial) {
  const EgressRules& rules = *denial.rules;
  const bool audit = denial.mode == PolicyMode::kAudit;
  if (denial.what == Denied::kName) {
    return audit ? rules.auditing_names_text() : rules.isolating_names_text();
  }
  return audit ? rules.auditing_text() : rules.isolating_text();
}

std::string NearestRule(const Denial& denial) {
  if (denial.unheld && denial.what != Denied::kServerName) {
    return "the endpoints of the Service are not known, and no rule by name has what was dialled";
  }
  switch (denial.what) {
    case Denied::kConnection:
    case Denied::kInbound:
      return denial.rules->Nearest(denial.judged(), Protocol::kTcp);
    case Denied::kFlow:
      return denial.rules->Nearest(denial.to(), Protocol::kUdp);
    case Denied::kServerName:
      if (denial.name.view().empty()) break;
      [[fallthrough]];
    case Denied::kName:
      return denial.rules->NearestName(denial.name.view());
    case Denied::kDns:
      break;
  }
  return {};
}

}  // namespace portolan::proxy
