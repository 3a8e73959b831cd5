// What EgressRules stands on and PolicyCompiler makes; for these two alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "common/string_map.h"
#include "proxy/policy/egress_rules.h"
#include "proxy/policy/policy_input.h"

namespace portolan::proxy {

struct EgressRules::Compiled {
  std::vector<PolicyInput> policies;
  absl::flat_hash_set<IpAddress> always_allowed;
  StringMap<Peers> sets;
  std::vector<RuleName> rule_names;
  std::vector<std::string> isolating, auditing, isolating_names, auditing_names;
  std::string isolating_text, isolating_names_text;
  bool has_names = false, allows_dns = false;
  Size size;
};

}  // namespace portolan::proxy
