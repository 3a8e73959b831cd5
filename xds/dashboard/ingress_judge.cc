#include "xds/dashboard/ingress_judge.h"

#include <algorithm>
#include <utility>

#include "policy/connection_verdict.h"
#include "xds/dashboard/ingress.h"

namespace portolan::xds {

using nlohmann::json;

IngressJudge::IngressJudge(Resources resources, const AskedSidecars* sidecars)
    : resources_(std::move(resources)), sidecars_(sidecars) {}

std::optional<json> IngressJudge::Judge(const ObjectName& client, const SocketAddress& to,
                                        Protocol protocol) const {
  if (resources_ == nullptr) return std::nullopt;
  const auto resources = resources_();
  const Snapshot& snapshot = *resources->snapshot();
  const Pod* from = snapshot.FindPod(client.ToString());
  const Pod* pod = resources->addresses().FindOwner(to.ip);
  if (from == nullptr || pod == nullptr) return std::nullopt;
  const auto verdict = JudgeIngress(snapshot, resources->policies(), *from, *pod, to, protocol);
  if (!verdict) return std::nullopt;
  json said = ToJson(*verdict);
  said["pod"] = pod->name.ToString();
  if (const auto in_force = IsInForce(*resources, *pod, protocol)) said["inForce"] = *in_force;
  return said;
}

std::optional<bool> IngressJudge::IsInForce(const ResourceSet& resources, const Pod& pod,
                                            Protocol protocol) const {
  if (sidecars_ == nullptr) return std::nullopt;
  const auto sidecar = sidecars_->Find(pod.name.ToString());
  if (!sidecar || sidecar->report == nullptr) return std::nullopt;
  if (protocol != Protocol::kTcp) return false;  // which alone passes a sidecar on its way in
  const v1::PolicyReport& policy = sidecar->report->policy();
  if (!policy.known()) return std::nullopt;
  const auto& reported = policy.policies();
  const PolicyNames& names = *resources.policies().FindPolicies(pod.name.ToString());
  const bool one_is =
      std::any_of(names.ingress.begin(), names.ingress.end(), [&](const auto& name) {
        return std::find(reported.begin(), reported.end(), name) != reported.end();
      });
  if (!one_is && policy.other_policies() > 0) return std::nullopt;
  return one_is;
}

}  // namespace portolan::xds
