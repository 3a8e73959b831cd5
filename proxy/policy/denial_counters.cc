#include "proxy/policy/denial_counters.h"

#include <algorithm>

#include "policy/egress_rules.h"

namespace portolan::proxy {
namespace {

constexpr char kOthers[] = "others";

}  // namespace

std::string_view Word(Denied what) {
  switch (what) {
    case Denied::kConnection:
      return "connection";
    case Denied::kFlow:
      return "flow";
    case Denied::kName:
      return "name";
    case Denied::kInbound:
      return "inbound";
    case Denied::kServerName:
      return "server_name";
    case Denied::kDns:
      break;
  }
  return "dns";
}

std::string_view Word(PolicyMode mode) { return mode == PolicyMode::kAudit ? "audit" : "enforced"; }

DenialCounters::DenialCounters() {
  by_name_.With([](ByName& all) { all[kOthers] = std::make_unique<OfPolicy>(); });
}

void DenialCounters::SetRules(const EgressRules* rules) {
  in_force_ = {};
  if (rules == nullptr) return;
  in_force_[IndexOf(PolicyMode::kEnforced)] = {Find(rules->isolating()),
                                               Find(rules->isolating_names())};
  in_force_[IndexOf(PolicyMode::kAudit)] = {Find(rules->auditing()), Find(rules->auditing_names())};
}

DenialCounters::InForce DenialCounters::Find(const std::vector<std::string>& policies) {
  InForce found{};
  by_name_.With([&](ByName& all) {
    OfPolicy* const others = all[kOthers].get();
    size_t size = 0;
    for (const std::string& name : policies) {
      OfPolicy* policy = others;
      if (size < kMostPolicies && (all.contains(name) || all.size() <= kMostNames)) {
        auto& known = all[name];
        if (known == nullptr) known = std::make_unique<OfPolicy>();
        policy = known.get();
      }
      if (std::find(found.begin(), found.begin() + size, policy) == found.begin() + size) {
        found[size++] = policy;
      }
    }
  });
  return found;
}

void DenialCounters::Collect(MetricFamilies& families) const {
  ForEach([&](const std::string& policy, Denied what, PolicyMode mode, uint64_t count) {
    AddCounterSample(families, "portolan_policy_denials_total",
                     "What policy denied or, in audit mode, would have denied.",
                     {{"policy", policy},
                      {"direction", what == Denied::kInbound ? "ingress" : "egress"},
                      {"what", Word(what)},
                      {"mode", Word(mode)}},
                     static_cast<double>(count));
  });
}

}  // namespace portolan::proxy
