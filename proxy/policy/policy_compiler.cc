#include "proxy/policy/policy_compiler.h"

#include <algorithm>
#include <utility>

#include "proxy/policy/compiled.h"

namespace portolan::proxy {
namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (text.size() + 2 + name.size() + 5 > EgressRules::kTextBytes) return text + ", ...";
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace

struct PolicyCompiler::State {
  EgressRules::Compiled next;
  std::shared_ptr<const EgressRules> last;
};

PolicyCompiler::PolicyCompiler() : state_(std::make_unique<State>()) {}
PolicyCompiler::~PolicyCompiler() = default;

void PolicyCompiler::SetPolicies(std::vector<PolicyInput> policies,
                                 std::vector<IpAddress> always_allowed) {
  EgressRules::Compiled next;
  next.sets = std::move(state_->next.sets);
  next.policies = std::move(policies);
  next.always_allowed.insert(always_allowed.begin(), always_allowed.end());
  for (const PolicyInput& policy : next.policies) {
    if (policy.isolates) (policy.audit ? next.auditing : next.isolating).push_back(policy.name);
    if (policy.isolates_names) {
      (policy.audit ? next.auditing_names : next.isolating_names).push_back(policy.name);
    }
    for (const RuleInput& rule : policy.rules) {
      next.rule_names.push_back({policy.name, rule.index});
      next.has_names |= !rule.names.empty();
      next.allows_dns |= !rule.names.empty() && !policy.audit;
    }
  }
  next.isolating_text = Joined(next.isolating);
  next.isolating_names_text = Joined(next.isolating_names);
  next.size.policies = next.policies.size();
  next.size.rules = next.rule_names.size();
  state_->next = std::move(next);
  state_->last = nullptr;
}

void PolicyCompiler::SetPeers(const std::string& set, Peers peers) {
  state_->next.sets[set] = std::move(peers);
  state_->last = nullptr;
}

void PolicyCompiler::ChangePeers(const std::string& set, const Peers& added, const Peers& removed) {
  Peers kept, next;
  Peers& peers = state_->next.sets[set];
  std::set_difference(peers.begin(), peers.end(), removed.begin(), removed.end(),
                      std::back_inserter(kept));
  std::set_union(kept.begin(), kept.end(), added.begin(), added.end(), std::back_inserter(next));
  peers = std::move(next);
  state_->last = nullptr;
}

void PolicyCompiler::ForgetPeers(const std::string& set) {
  state_->next.sets.erase(set);
  state_->last = nullptr;
}

std::shared_ptr<const EgressRules> PolicyCompiler::Commit() {
  if (state_->last == nullptr) {
    auto compiled = std::make_shared<EgressRules::Compiled>(state_->next);
    compiled->rule_names.clear();
    for (const PolicyInput& policy : compiled->policies) {
      for (const RuleInput& rule : policy.rules) {
        compiled->rule_names.push_back({policy.name, rule.index});
      }
    }
    for (const auto& [name, peers] : compiled->sets) compiled->size.peers += peers.size();
    state_->last = std::make_shared<const EgressRules>(std::move(compiled));
  }
  return state_->last;
}

}  // namespace portolan::proxy
