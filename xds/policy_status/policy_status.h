// The status of a DNSEgressPolicy: what an object holds, what it should, and the patch from one to
// the other. docs/dns-egress-policy.md is the manual; conditions are those of
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md.
// Values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "common/document/value.h"
#include "directory/model.h"
#include "xds/policy_status/enforcement.h"

namespace portolan::xds {

// All but the first two may be missing from one of others: empty, 0.
struct PolicyCondition {
  std::string type;
  std::string status;  // "True", "False", "Unknown"
  int64_t observed_generation = 0;
  std::string last_transition;  // RFC 3339
  std::string reason;
  std::string message;
  friend bool operator==(const PolicyCondition&, const PolicyCondition&) = default;
};

struct PolicyStatus {
  int64_t observed_generation = 0;
  // Nothing: not counted yet.
  std::optional<int64_t> selected_pods = {};
  std::optional<int64_t> enforcing_sidecars = {};
  std::optional<int64_t> partly_enforced = {};
  std::vector<PolicyCondition> conditions = {};  // those of others among them
  friend bool operator==(const PolicyStatus&, const PolicyStatus&) = default;
};

// A DNSEgressPolicy as far as its status goes.
struct WatchedPolicy {
  ObjectName name;
  std::string resource_version;
  int64_t generation = 0;
  bool audit = false;
  std::string fault = {};  // "spec.rules[0].names[0]: 'a b' is ..."; empty: it was accepted
  PolicyStatus status = {};
};

// `errors` of the object as it was read for the directory.
WatchedPolicy ReadWatchedPolicy(const Field& object, const FieldErrors& errors);

// What the object's status should be. `enforcement` is nothing while it is not known in full; what
// the object holds of it then stays. A condition keeps its time of transition unless its status
// changes, which is `now`.
PolicyStatus StatusOf(const WatchedPolicy& policy, const std::optional<Enforcement>& enforcement,
                      absl::Time now);

// A merge patch (RFC 7386) that makes `status` the policy's, if it is still the one that was read.
nlohmann::json StatusPatch(const WatchedPolicy& policy, const PolicyStatus& status);

}  // namespace portolan::xds
