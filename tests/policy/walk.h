// The semantics of egress policies as they are written down, by a walk over all rules: what the
// compiled form is compared with.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "directory/policy_input.h"
#include "policy/egress_rules.h"

namespace portolan {

struct Walk {
  std::vector<PolicyInput> policies;
  std::vector<IpAddress> always_allowed;
  std::map<std::string, std::set<Peer>> sets;

  using Verdict = EgressRules::Verdict;
  Verdict Judge(const SocketAddress& to, Protocol protocol) const;
  // `name`: text in any case without the final dot.
  Verdict JudgeName(const std::string& name) const;
  Verdict JudgeLearned(const std::string& name, uint16_t port, Protocol protocol) const;
  bool IsNamed(const std::string& name) const;
};

}  // namespace portolan
