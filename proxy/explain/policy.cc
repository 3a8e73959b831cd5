#include "proxy/explain/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/text.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using Kind = PolicyVerdict::Kind;

std::span<const uint8_t> BytesOf(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

std::string WireOf(std::string_view name) {
  const auto wire = dns::wire::NameToWire(name);
  return wire.ok() ? *wire : std::string(1, '\0');
}

std::string RuleText(const EgressRules& rules, uint32_t rule) {
  const EgressRules::RuleName name = rules.rule_name(rule);
  return fmt::format("rule {} of {}", name.index, name.policy);
}

PolicyVerdict Unknown(const ExplainedPolicy& policy) {
  if (policy.open_while_unknown) {
    return {.kind = Kind::kAllowed, .says = "no policy is known yet, and --on-no-policy is open"};
  }
  return {.kind = Kind::kDenied, .says = "no policy is known yet, and --on-no-policy is closed"};
}

PolicyVerdict Audited(const EgressRules& rules, std::string nearest) {
  return {.kind = Kind::kAudited,
          .says = "allowed, and would be denied if policies in audit were enforced",
          .isolated_by = rules.auditing(),
          .nearest = std::move(nearest)};
}

// "example.com" of "Example.COM.".
std::string Plain(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return Lower(name);
}

// What stands before the domain, both plain; nothing if the name is neither it nor below it.
std::optional<std::string_view> Before(std::string_view name, std::string_view domain) {
  if (domain.empty() || !name.ends_with(domain)) return std::nullopt;
  name.remove_suffix(domain.size());
  if (name.empty()) return name;
  if (!name.ends_with('.')) return std::nullopt;
  return name.substr(0, name.size() - 1);
}

// What of `name` stands before an end of the search list and is allowed, or one of the cluster.
std::string AllowedBeforeSearch(const ExplainedPolicy& policy, std::string_view name,
                                const std::vector<std::string>& search) {
  const EgressRules& rules = *policy.rules;
  const std::string plain = Plain(name);
  for (const std::string& domain : search) {
    const auto rest = Before(plain, Plain(domain));
    if (!rest.has_value() || rest->empty()) continue;
    const bool has_rule = rules.JudgeName(BytesOf(WireOf(*rest))).rule != EgressRules::kNone;
    if (has_rule || IsOfCluster(policy, *rest)) return std::string(*rest);
  }
  return {};
}

}  // namespace

json ToJson(const PolicyVerdict& verdict) {
  const std::string_view words[] = {"allowed", "audited", "denied"};
  json out = {{"verdict", words[static_cast<size_t>(verdict.kind)]}, {"says", verdict.says}};
  if (!verdict.isolated_by.empty()) out["isolatedBy"] = verdict.isolated_by;
  if (!verdict.nearest.empty()) out["nearest"] = verdict.nearest;
  return out;
}

json ToJson(const ExplainedPolicy& policy) {
  json out = {{"known", policy.rules != nullptr}};
  if (policy.rules == nullptr) return out;
  out["isolates"] = policy.rules->isolates();
  if (!policy.rules->isolates()) return out;
  out["isolatedBy"] = policy.rules->isolating();
  out["enforced"] = policy.partly ? "PartlyEnforced" : "Enforced";
  return out;
}

bool IsOfCluster(const ExplainedPolicy& policy, std::string_view name) {
  dns::wire::NameBuffer wire;
  if (!dns::wire::ReadText(name, wire)) return false;
  dns::wire::Query query;
  dns::wire::SetName(wire.view(), query);
  return dns::wire::AnyHolds(policy.cluster_zones, query);
}

std::string_view WhyNoDns(const ExplainedPolicy& policy) {
  if (policy.resolvers.udp.allowed) return {};
  if (!policy.resolvers.tcp.allowed)
    return "none of the pod's nameservers may be reached at port 53";
  return "over UDP, as the pod's nameservers may be reached at TCP 53 alone";
}

PolicyVerdict JudgeName(const ExplainedPolicy& policy, std::string_view name,
                        const std::vector<std::string>& search) {
  if (policy.rules == nullptr) return Unknown(policy);
  const EgressRules& rules = *policy.rules;
  if (const std::string_view why = WhyNoDns(policy); !why.empty()) {
    return {.kind = Kind::kDenied,
            .says = fmt::format("REFUSED: {}", why),
            .isolated_by = rules.isolating()};
  }
  const std::string wire = WireOf(name);
  const EgressRules::Verdict verdict = rules.JudgeName(BytesOf(wire));
  if (verdict.rule != EgressRules::kNone) {
    return {.kind = Kind::kAllowed, .says = RuleText(rules, verdict.rule) + " has it"};
  }
  if (IsOfCluster(policy, name)) {
    return {.kind = Kind::kAllowed, .says = "a name of the cluster: where it leads is judged"};
  }
  if (verdict.audited) {
    return {.kind = Kind::kAudited,
            .says = "allowed, and would be denied if policies in audit were enforced",
            .isolated_by = rules.auditing_names(),
            .nearest = rules.NearestName(BytesOf(wire))};
  }
  if (verdict.allowed) return {.kind = Kind::kAllowed, .says = "no policy isolates names"};
  const std::string before = AllowedBeforeSearch(policy, name, search);
  if (!before.empty()) {
    return {.kind = Kind::kDenied,
            .says = fmt::format("NXDOMAIN: {} is allowed, without this end of the search list",
                                before)};
  }
  return {.kind = Kind::kDenied,
          .says = "not resolved: no rule has the name",
          .isolated_by = rules.isolating_names(),
          .nearest = rules.NearestName(BytesOf(wire))};
}

PolicyVerdict JudgeAddress(const ExplainedPolicy& policy, const SocketAddress& to,
                           Protocol protocol) {
  const auto& own = policy.own;
  if (to.ip.is_loopback() || std::find(own.begin(), own.end(), to.ip) != own.end()) {
    return {.kind = Kind::kAllowed, .says = "the pod's own address, or its node's: always allowed"};
  }
  if (policy.rules == nullptr) return Unknown(policy);
  const EgressRules& rules = *policy.rules;
  const EgressRules::Verdict verdict = rules.Judge(to, protocol);
  if (verdict.audited) return Audited(rules, rules.Nearest(to, protocol));
  if (!verdict.allowed) {
    return {.kind = Kind::kDenied,
            .says = "no rule allows it",
            .isolated_by = rules.isolating(),
            .nearest = rules.Nearest(to, protocol)};
  }
  if (verdict.rule != EgressRules::kNone) {
    return {.kind = Kind::kAllowed, .says = RuleText(rules, verdict.rule) + " allows it"};
  }
  return {.kind = Kind::kAllowed,
          .says = rules.isolates() ? "an address of the pod's node: always allowed"
                                   : "no policy isolates the pod"};
}

bool IsOfServices(const ExplainedPolicy& policy, const IpAddress& ip) {
  return std::any_of(policy.service_ranges.begin(), policy.service_ranges.end(),
                     [&](const Cidr& range) { return range.Contains(ip); });
}

PolicyVerdict JudgeUnheld(const ExplainedPolicy& policy, IpFamily family, Protocol protocol) {
  if (policy.rules == nullptr) return Unknown(policy);
  const EgressRules& rules = *policy.rules;
  const EgressRules::Verdict verdict = rules.JudgeUnknown(family, protocol);
  if (verdict.audited) return Audited(rules, {});
  if (!verdict.allowed) {
    return {.kind = Kind::kDenied,
            .says = "its endpoints are not known, and no rule by name has what is dialled",
            .isolated_by = rules.isolating()};
  }
  if (verdict.rule == EgressRules::kNone) {
    return {.kind = Kind::kAllowed, .says = "no policy isolates the pod"};
  }
  return {.kind = Kind::kAllowed,
          .says = RuleText(rules, verdict.rule) + " allows it, whatever its endpoints are"};
}

std::optional<PolicyVerdict> JudgeDialled(const ExplainedPolicy& policy, std::string_view asked,
                                          const SocketAddress& dialled, Protocol protocol) {
  if (policy.rules == nullptr) return std::nullopt;
  const EgressRules& rules = *policy.rules;
  std::vector<std::string> names;
  if (!asked.empty()) names.emplace_back(asked);
  for (const LearnedAddresses::Entry& entry : policy.learned) {
    if (entry.ip == dialled.ip) names.push_back(entry.name);
  }
  for (const std::string& name : names) {
    const EgressRules::Verdict verdict =
        rules.JudgeLearned(BytesOf(WireOf(name)), dialled.port, protocol);
    // What a rule in audit has is not what it would deny.
    const bool is_had = verdict.rule != EgressRules::kNone && !rules.isolates();
    if (!verdict.allowed && !is_had) continue;
    return PolicyVerdict{.kind = Kind::kAllowed,
                         .says = fmt::format("{} has {}, which leads to this address",
                                             RuleText(rules, verdict.rule), name)};
  }
  return std::nullopt;
}

}  // namespace portolan::proxy
