// Policy, as the report says it: which policies are in force, and what the workers denied of late.
// The main loop's thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policy/egress_rules.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/policy/denial_table.h"
#include "proxy/reporting/names_report.h"

namespace portolan::proxy {

// Null: none are known, or ingress is not enforced.
struct RulesInForce {
  std::shared_ptr<const EgressRules> egress = {};
  std::shared_ptr<const EgressRules> ingress = {};
};

// Rules and parts of the texts change, while a denial is told of for long: what its policies and
// the nearest rule are is worked out when it is first told, and anew when it happens again by other
// rules.
class LatestDenials {
 public:
  // Of all workers, the latest first, as many as a report takes. `in_force`: for what has come into
  // the list again without having happened again.
  std::vector<v1::DenialReport> Make(std::span<const std::vector<DenialTable::Kind>> workers,
                                     const RulesInForce& in_force);

 private:
  struct Told {
    Denial denial;  // without rules
    std::weak_ptr<const EgressRules> rules = {};
    std::string policies = {};
    std::string nearest = {};
  };

  Told TellOf(const DenialTable::Kind& kind, const RulesInForce& in_force) const;

  std::vector<Told> told_;  // what is in the list
  WallClock clock_;
};

// All but `denied` and `audited`. Of the denials as many as there is room for.
v1::PolicyReport MakePolicyReport(const RulesInForce& in_force, bool partly_enforced,
                                  std::vector<v1::DenialReport> denials);

}  // namespace portolan::proxy
