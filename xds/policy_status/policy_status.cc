#include "xds/policy_status/policy_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace portolan::xds {
namespace {

using nlohmann::json;

// Of metav1.Condition.
constexpr size_t kMostMessageBytes = 1024;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::optional<int64_t> ReadCount(const Field& field) {
  if (!field.present()) return std::nullopt;
  return field.Int(0);
}

PolicyCondition ReadCondition(const Field& item) {
  const Field type = item["type"];
  const Field status = item["status"];
  const Field generation = item["observedGeneration"];
  const Field transition = item["lastTransitionTime"];
  const Field reason = item["reason"];
  const Field message = item["message"];
  return {type.String(),       status.String(), generation.Int(0),
          transition.String(), reason.String(), message.String()};
}

PolicyStatus ReadStatus(const Field& status) {
  const Field generation = status["observedGeneration"];
  const Field selected = status["selectedPods"];
  const Field enforcing = status["enforcingSidecars"];
  const Field partly = status["partlyEnforced"];
  const Field conditions = status["conditions"];
  PolicyStatus read{
      generation.Int(0), ReadCount(selected), ReadCount(enforcing), ReadCount(partly), {}};
  conditions.ForEachItem(
      [&](const Field& item) { read.conditions.push_back(ReadCondition(item)); });
  return read;
}

struct Verdict {
  std::string_view status;
  std::string_view reason;
  std::string message;
};

Verdict Accepted(const WatchedPolicy& policy) {
  if (policy.fault.empty()) return {"True", "Accepted", "it is as the API has it"};
  return {"False", "Invalid", policy.fault};
}

Verdict Enforced(const WatchedPolicy& policy, const Enforcement& now) {
  const uint64_t in_force = now.enforcing + now.partly;
  // Sidecars may be counted before their pods are, and by two replicas as they change over.
  const uint64_t pending = now.selected_pods - std::min(in_force, now.selected_pods);
  if (!policy.fault.empty()) {
    return {"False", "NotAccepted",
            fmt::format("what of it was accepted before, if anything, is in force at {} of {} pods",
                        in_force, now.selected_pods)};
  }
  if (now.selected_pods == 0) return {"Unknown", "NoPods", "it selects no pod"};
  if (policy.audit) {
    return {"False", "Audit",
            fmt::format("it denies nothing; what it would deny is counted at {} of {} pods",
                        in_force, now.selected_pods)};
  }
  if (now.partly > 0) {
    return {"False", "PartlyEnforced",
            fmt::format("at {} of {} pods not all that they send is captured by the sidecar; "
                        "enforced in full at {}, pending at {}",
                        now.partly, now.selected_pods, now.enforcing, pending)};
  }
  if (pending > 0) {
    return {"False", "Pending",
            fmt::format("at {} of {} pods no sidecar has said that it is in force", pending,
                        now.selected_pods)};
  }
  return {"True", "Enforced", fmt::format("enforced at all {} pods", now.selected_pods)};
}

void Set(PolicyStatus& status, std::string_view type, const Verdict& verdict, int64_t generation,
         absl::Time now) {
  PolicyCondition next{
      std::string(type), std::string(verdict.status), generation,
      TimeText(now),     std::string(verdict.reason), verdict.message.substr(0, kMostMessageBytes)};
  for (PolicyCondition& held : status.conditions) {
    if (held.type != type) continue;
    const bool keeps_time = held.status == next.status && !held.last_transition.empty();
    if (keeps_time) next.last_transition = held.last_transition;
    held = std::move(next);
    return;
  }
  status.conditions.push_back(std::move(next));
}

// What a condition of others does not have must not be added: an empty text is no time, and the API
// server refuses the whole status for it.
json ConditionJson(const PolicyCondition& condition) {
  json written = {{"type", condition.type}, {"status", condition.status}};
  const int64_t generation = condition.observed_generation;
  if (generation != 0) written["observedGeneration"] = generation;
  const auto add = [&written](const char* key, const std::string& text) {
    if (!text.empty()) written[key] = text;
  };
  add("lastTransitionTime", condition.last_transition);
  add("reason", condition.reason);
  add("message", condition.message);
  return written;
}

}  // namespace

WatchedPolicy ReadWatchedPolicy(const Field& object, const FieldErrors& errors) {
  // A status is written by us; what is wrong in it is written anew.
  FieldErrors ignored;
  const Field root(*object.value(), ignored);
  const Field metadata = root["metadata"];
  const Field ns = metadata["namespace"];
  const Field name = metadata["name"];
  const Field version = metadata["resourceVersion"];
  const Field generation = metadata["generation"];
  const Field spec = root["spec"];
  const Field audit = spec["audit"];
  const Field status = root["status"];
  WatchedPolicy policy{.name = {ns.String(), name.String()},
                       .resource_version = version.String(),
                       .generation = generation.Int(0),
                       .audit = audit.Bool(false)};
  if (!errors.ok()) policy.fault = fmt::format("{}: {}", errors.first().path, errors.first().what);
  policy.status = ReadStatus(status);
  return policy;
}

PolicyStatus StatusOf(const WatchedPolicy& policy, const std::optional<Enforcement>& enforcement,
                      absl::Time now) {
  PolicyStatus status = policy.status;
  status.observed_generation = policy.generation;
  Set(status, "Accepted", Accepted(policy), policy.generation, now);
  if (!enforcement.has_value()) return status;
  status.selected_pods = static_cast<int64_t>(enforcement->selected_pods);
  status.enforcing_sidecars = static_cast<int64_t>(enforcement->enforcing);
  status.partly_enforced = static_cast<int64_t>(enforcement->partly);
  Set(status, "Enforced", Enforced(policy, *enforcement), policy.generation, now);
  return status;
}

json StatusPatch(const WatchedPolicy& policy, const PolicyStatus& status) {
  json patch = {{"observedGeneration", status.observed_generation}, {"conditions", json::array()}};
  for (const PolicyCondition& condition : status.conditions) {
    patch["conditions"].push_back(ConditionJson(condition));
  }
  if (status.selected_pods.has_value()) patch["selectedPods"] = *status.selected_pods;
  if (status.enforcing_sidecars.has_value()) {
    patch["enforcingSidecars"] = *status.enforcing_sidecars;
  }
  if (status.partly_enforced.has_value()) patch["partlyEnforced"] = *status.partly_enforced;
  return {{"metadata", {{"resourceVersion", policy.resource_version}}},
          {"status", std::move(patch)}};
}

}  // namespace portolan::xds
