// A gate with rules and learned addresses of its own, for tests.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/policy_compiler.h"
#include "proxy/policy/denials.h"
#include "proxy/policy/egress_gate.h"
#include "proxy/policy/learned_addresses.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {

inline std::shared_ptr<const EgressRules> Compile(std::vector<PolicyInput> policies) {
  PolicyCompiler compiler;
  compiler.SetPolicies(std::move(policies), {});
  return compiler.Commit();
}

inline dns::wire::NameBuffer NameOf(std::string_view text) {
  const std::string wire = *dns::wire::NameToWire(text);
  dns::wire::NameBuffer name;
  std::copy(wire.begin(), wire.end(), name.bytes.begin());
  name.size = static_cast<uint8_t>(wire.size());
  return name;
}

// Of one worker. Its thread is the forwarder's.
struct TestPolicy {
  explicit TestPolicy(EgressGate::Options options = {}, DenialLog* log = nullptr)
      : denials(log), gate(std::move(options), learned, denials) {}

  void SetRules(std::vector<PolicyInput> policies) {
    const auto rules = Compile(std::move(policies));
    denials.SetRules(rules);
    gate.SetRules(rules);
  }
  void Learn(std::string_view name, const IpAddress& ip, absl::Duration ttl, absl::Duration now) {
    learned.Add(Wire(name), ip, ttl, now);
  }
  // Connections and flows that hold learned addresses.
  uint32_t live() const {
    uint32_t sum = 0;
    for (const auto& entry : learned.List(-absl::InfiniteDuration())) sum += entry.live;
    return sum;
  }
  // Of portolan_policy_denials_total.
  double Denials(const std::string& policy, Denied what,
                 PolicyMode mode = PolicyMode::kEnforced) const {
    MetricFamilies families;
    denials.counters().Collect(families);
    for (const auto& family : families) {
      for (const auto& sample : family.metric) {
        const auto& labels = sample.label;  // policy, direction, what, mode
        if (labels[0].value == policy && labels[2].value == Word(what) &&
            labels[3].value == Word(mode)) {
          return sample.counter.value;
        }
      }
    }
    return 0;
  }

  LearnedAddresses learned{LearnedAddresses::Limits{}};
  portolan::proxy::Denials denials;
  EgressGate gate;
};

}  // namespace portolan::proxy
