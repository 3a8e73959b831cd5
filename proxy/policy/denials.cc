#include "proxy/policy/denials.h"

#include <utility>

namespace portolan::proxy {

void Denials::SetRules(std::shared_ptr<const EgressRules> rules) {
  counters_.SetRules(rules.get());
  latest_.OnReplaced(rules_);
  rules_ = std::move(rules);
}

void Denials::Add(Denial denial, absl::Duration now) {
  counters_.Count(denial.what, denial.mode);
  denial.rules = rules_;
  if (log_ != nullptr && log_->Takes(now)) log_->Write(denial);
  latest_.Add(std::move(denial), now);
}

}  // namespace portolan::proxy
