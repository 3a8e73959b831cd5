// What egress policy has to say of a name, and of a connection to where it leads: allowed and by
// which rule, or denied, by which policies, and which rule came nearest. Nothing is counted, and
// nothing is learned: what the application would learn by asking for the name is taken as learned.
//
// The main loop's thread; pure.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "directory/model.h"
#include "dns/wire/name.h"
#include "policy/egress_rules.h"
#include "proxy/policy/learned_addresses.h"
#include "proxy/resolver_verdicts.h"

namespace portolan::proxy {

// How the sidecar judges now.
struct ExplainedPolicy {
  std::shared_ptr<const EgressRules> rules = {};  // null: no policy is known yet
  std::vector<LearnedAddresses::Entry> learned = {};
  std::vector<IpAddress> own = {};        // of the pod and its node, as far as it knows them itself
  std::vector<Cidr> service_ranges = {};  // EgressGate::Options
  bool open_while_unknown = true;
  bool partly = false;  // not all that the pod sends is captured
  ResolverVerdicts resolvers = {};
  std::vector<dns::wire::Zone> cluster_zones = {};  // dns::Config::cluster_zones
};

struct PolicyVerdict {
  // kAudited: allowed, and policies in audit would have denied it.
  enum class Kind { kAllowed, kAudited, kDenied };
  Kind kind = Kind::kAllowed;
  std::string says;
  std::vector<std::string> isolated_by = {};  // kAudited, kDenied
  std::string nearest = {};                   // the rule; empty: none comes near

  bool denied() const { return kind == Kind::kDenied; }
};

// {"verdict": "allowed", "audited", "denied", "says", "isolatedBy"?, "nearest"?}
nlohmann::json ToJson(const PolicyVerdict& verdict);

// {"known", "isolates"?, "isolatedBy"?: [...], "enforced"?: "Enforced", "PartlyEnforced"}; the last
// two where it isolates.
nlohmann::json ToJson(const ExplainedPolicy& policy);

// Whether the name, as text, is in a zone of the cluster: resolved, whatever names rules have.
bool IsOfCluster(const ExplainedPolicy& policy, std::string_view name);

// Why the pod's questions are refused, in words, whatever their name; empty: they are not. Of
// questions over UDP, as resolvers ask: what is refused they do not ask again over TCP.
std::string_view WhyNoDns(const ExplainedPolicy& policy);

// Whether the name, as text, may be resolved.
PolicyVerdict JudgeName(const ExplainedPolicy& policy, std::string_view name,
                        const std::vector<std::string>& search);

// By address: an endpoint, or what is dialled and no Service's.
PolicyVerdict JudgeAddress(const ExplainedPolicy& policy, const SocketAddress& to,
                           Protocol protocol);

// Whether what is dialled there and is no known Service's is judged by JudgeUnheld: in the
// Services' ranges.
bool IsOfServices(const ExplainedPolicy& policy, const IpAddress& ip);

// Of a Service whose endpoints are not held, and do not come in time, or which is not known itself.
// `family`: of its address.
PolicyVerdict JudgeUnheld(const ExplainedPolicy& policy, IpFamily family, Protocol protocol);

// By name: where one has led, or `asked` leads, to the dialled address, and a rule has it at the
// port. Nothing where addresses decide.
std::optional<PolicyVerdict> JudgeDialled(const ExplainedPolicy& policy, std::string_view asked,
                                          const SocketAddress& dialled, Protocol protocol);

}  // namespace portolan::proxy
