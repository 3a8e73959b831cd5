// What policy denied, and what it would have denied, by the policies that isolate the pod.
//
// One per worker: its thread sets the rules and counts, without a lock or an allocation; the
// metrics page reads. A denial counts for each of the policies that isolate, as any of them could
// allow it; of more than kMostPolicies the rest counts as one, "others". A policy keeps its count
// when it is no longer in force, so that totals never go back; names beyond kMostNames count as
// "others" too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/guarded.h"
#include "common/metrics.h"

namespace portolan {
class EgressRules;
}

namespace portolan::proxy {

// kInbound: a connection to the pod; all others are its own.
enum class Denied : uint8_t { kConnection, kFlow, kName, kDns, kInbound, kServerName };
enum class PolicyMode : uint8_t { kEnforced, kAudit };

// "connection", "flow", "name", "dns", "inbound", "server_name": the label `what`.
std::string_view Word(Denied what);
// "enforced", "audit"
std::string_view Word(PolicyMode mode);

class DenialCounters {
 public:
  static constexpr size_t kMostPolicies = 8;
  static constexpr size_t kMostNames = 64;

  DenialCounters();

  // Null: no policy is known, and nothing isolates. Takes a lock; the worker's thread.
  void SetRules(const EgressRules* rules);

  // For each policy that isolates, or would if it were enforced. The worker's thread.
  void Count(Denied what, PolicyMode mode) {
    totals_[IndexOf(mode)].Add();
    for (OfPolicy* policy : in_force_[IndexOf(mode)][what == Denied::kName ? 1 : 0]) {
      if (policy == nullptr) return;
      policy->counts[IndexOf(mode)][static_cast<size_t>(what)].Add();
    }
  }

  // Denials in all, whichever policies isolate. Any thread.
  uint64_t total(PolicyMode mode) const { return totals_[IndexOf(mode)].value(); }

  // visit(const std::string& policy, Denied, PolicyMode, uint64_t count) for what occurred. Any
  // thread; holds a lock meanwhile.
  template <typename F>
  void ForEach(F&& visit) const {
    by_name_.With([&](const ByName& all) {
      for (const auto& [name, policy] : all) policy->ForEach(name, visit);
    });
  }
  // The family portolan_policy_denials_total. Any thread.
  void Collect(MetricFamilies& families) const;

 private:
  static constexpr size_t kModes = 2;
  static constexpr size_t kWhats = 6;

  struct OfPolicy {
    std::array<std::array<Counter, kWhats>, kModes> counts;

    template <typename F>
    void ForEach(const std::string& name, F&& visit) const {
      for (size_t mode = 0; mode < kModes; ++mode) {
        for (size_t what = 0; what < kWhats; ++what) {
          const uint64_t count = counts[mode][what].value();
          if (count > 0) {
            visit(name, static_cast<Denied>(what), static_cast<PolicyMode>(mode), count);
          }
        }
      }
    }
  };
  using ByName = std::map<std::string, std::unique_ptr<OfPolicy>>;
  // Those that isolate, then "others" where there are more; then null.
  using InForce = std::array<OfPolicy*, kMostPolicies + 1>;

  static size_t IndexOf(PolicyMode mode) { return static_cast<size_t>(mode); }
  InForce Find(const std::vector<std::string>& policies);

  std::array<Counter, kModes> totals_;
  Guarded<ByName> by_name_;  // none is ever removed
  // By mode: of addresses, of names.
  std::array<std::array<InForce, 2>, kModes> in_force_{};
};

}  // namespace portolan::proxy
