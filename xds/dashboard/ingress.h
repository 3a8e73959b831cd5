// What ingress policies say of a connection at the pod that it leads to: the second half of a
// question whose first, egress, the sidecar of the client answers.
//
// The rules are worked out and judged by the code that serves and enforces them (xds/policy,
// policy/). Whether anything enforces them is another question. Any thread.
#pragma once

#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "absl/functional/function_ref.h"
#include "common/ip.h"
#include "directory/directory.h"
#include "policy/connection_verdict.h"
#include "policy/egress_rules.h"
#include "xds/policy/pod_policies.h"
#include "xds/policy/policy_index.h"

namespace portolan::xds {

// Those of `pod`, as they are judged.
std::shared_ptr<const EgressRules> RulesOf(PodPolicies policies, const Pod& pod);

// Of a connection of `client` to `port` of `pod`. Nothing: no policy isolates `pod`, or `client` is
// nowhere. Of more addresses of the client one of the family of `to` counts. Takes some 3 us, and
// 0.6 us for each rule of the policies.
std::optional<ConnectionVerdict> JudgeIngress(const Snapshot& snapshot,
                                              const PolicySnapshot& policies, const Pod& client,
                                              const Pod& pod, const SocketAddress& to,
                                              Protocol protocol);

// What is to be said of an address: ToJson(ConnectionVerdict) and "pod": "NAMESPACE/POD". Nothing:
// whoever is there lets everybody in.
using IngressAt = absl::FunctionRef<std::optional<nlohmann::json>(const SocketAddress& to)>;

// `answer`, an object, says of egress what proxy/explain/policy_tester.h has; whoever sent it is
// not trusted, and of its "ways" no more than kMostWays are looked at. Gets "ingress": [what
// `ingress_at` says, and "at": ADDRESS:PORT], of each way that is allowed and led to such a pod;
// and where all ways were, and each of them is denied by it, its verdict is denied, else that of
// the first way that is let in, better one that no policy in audit would deny.
void AddIngress(nlohmann::json& answer, IngressAt ingress_at);

}  // namespace portolan::xds
