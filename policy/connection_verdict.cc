#include "policy/connection_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_join.h"

namespace portolan {
namespace {

using Verdict = EgressRules::Verdict;

std::span<const uint8_t> BytesOf(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

ConnectionVerdict AllowedBy(const EgressRules& rules, uint32_t rule) {
  const EgressRules::RuleName name = rules.rule_name(rule);
  return {.says = fmt::format("rule {} of {} allows it", name.index, name.policy),
          .rule = ConnectionVerdict::Rule{std::string(name.policy), name.index}};
}

ConnectionVerdict WithoutRule(const EgressRules& rules) {
  return {.says = rules.isolates() ? "what is its own or its node's is always allowed"
                                   : "no policy limits what the pod may reach"};
}

ConnectionVerdict NotResolved(const EgressRules& rules, std::span<const uint8_t> name) {
  return {.allowed = false,
          .says = fmt::format("no rule of {} has the name: it is not resolved",
                              absl::StrJoin(rules.isolating_names(), ", ")),
          .isolated_by = rules.isolating_names(),
          .nearest = rules.NearestName(name)};
}

ConnectionVerdict DeniedBy(const EgressRules& rules, const TestedConnection& connection) {
  ConnectionVerdict denied{
      .allowed = false,
      .says = fmt::format("no rule of {} allows it", absl::StrJoin(rules.isolating(), ", ")),
      .isolated_by = rules.isolating()};
  if (!connection.at.empty()) {
    denied.nearest = rules.Nearest(connection.at.front(), connection.protocol);
  } else if (!connection.name.empty()) {
    denied.nearest = rules.NearestName(BytesOf(connection.name));
  }
  return denied;
}

Verdict JudgeAt(const EgressRules& rules, const TestedConnection& connection,
                const SocketAddress& at) {
  const auto& unheld = connection.unheld;
  return std::find(unheld.begin(), unheld.end(), at) == unheld.end()
             ? rules.Judge(at, connection.protocol)
             : rules.JudgeUnknown(at.ip.family(), connection.protocol);
}

// The first that is allowed, better one that policies in audit would not deny: enforced, they would
// leave that one. Nothing: none is.
std::optional<Verdict> FirstAllowed(const EgressRules& rules, const TestedConnection& connection) {
  std::optional<Verdict> audited;
  for (const SocketAddress& at : connection.at) {
    const Verdict verdict = JudgeAt(rules, connection, at);
    if (!verdict.allowed) continue;
    if (!verdict.audited) return verdict;
    if (!audited) audited = verdict;
  }
  return audited;
}

nlohmann::json WayJson(const ConnectionVerdict& verdict, const SocketAddress& at) {
  nlohmann::json way = ToJson(verdict);
  way["at"] = at.ToString();
  return way;
}

}  // namespace

ConnectionVerdict JudgeConnection(const EgressRules& rules, const TestedConnection& connection) {
  bool name_is_audited = false;
  if (!connection.name.empty() && !connection.in_cluster) {
    const Verdict name = rules.JudgeName(BytesOf(connection.name));
    if (!name.allowed) return NotResolved(rules, BytesOf(connection.name));
    name_is_audited = name.audited;
  }
  std::vector<std::string> names = connection.learned;
  if (!connection.name.empty()) names.push_back(connection.name);
  bool audit_has_name = false;
  for (const std::string& name : names) {
    const Verdict learned = rules.JudgeLearned(BytesOf(name), connection.port, connection.protocol);
    if (learned.allowed) return AllowedBy(rules, learned.rule);
    audit_has_name |= learned.rule != EgressRules::kNone;
  }
  if (const auto verdict = FirstAllowed(rules, connection)) {
    ConnectionVerdict allowed =
        verdict->rule == EgressRules::kNone ? WithoutRule(rules) : AllowedBy(rules, verdict->rule);
    allowed.audited = name_is_audited || (verdict->audited && !audit_has_name);
    return allowed;
  }
  if (rules.isolates()) return DeniedBy(rules, connection);
  ConnectionVerdict allowed = WithoutRule(rules);
  allowed.audited = name_is_audited;
  return allowed;
}

nlohmann::json ToJson(const ConnectionVerdict& verdict) {
  nlohmann::json out = {{"verdict", verdict.allowed ? "allowed" : "denied"},
                        {"audited", verdict.audited},
                        {"says", verdict.says}};
  if (verdict.rule.has_value()) {
    out["rule"] = {{"policy", verdict.rule->policy}, {"index", verdict.rule->index}};
  }
  if (!verdict.isolated_by.empty()) out["isolatedBy"] = verdict.isolated_by;
  if (!verdict.nearest.empty()) out["nearest"] = verdict.nearest;
  return out;
}

nlohmann::json WaysJson(const EgressRules& rules, TestedConnection connection) {
  nlohmann::json ways = nlohmann::json::array();
  const std::vector<SocketAddress> all = std::move(connection.at);
  for (size_t i = 0; i < std::min(all.size(), kMostWays); ++i) {
    connection.at = {all[i]};
    ways.push_back(WayJson(JudgeConnection(rules, connection), all[i]));
  }
  return ways;
}

nlohmann::json WaysJson(const ConnectionVerdict& of_all, const std::vector<SocketAddress>& at) {
  nlohmann::json ways = nlohmann::json::array();
  for (size_t i = 0; i < std::min(at.size(), kMostWays); ++i) {
    ways.push_back(WayJson(of_all, at[i]));
  }
  return ways;
}

}  // namespace portolan
