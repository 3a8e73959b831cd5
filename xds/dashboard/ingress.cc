#include "xds/dashboard/ingress.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/json_fields.h"
#include "policy/own_ports.h"
#include "policy/policy_compiler.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

const IpAddress* AddressLike(const std::vector<IpAddress>& ips, const IpAddress& other) {
  const auto found = std::find_if(
      ips.begin(), ips.end(), [&](const IpAddress& ip) { return ip.family() == other.family(); });
  if (found != ips.end()) return &*found;
  return ips.empty() ? nullptr : &ips.front();
}

std::string IntoText(const json& ingress) {
  return fmt::format("into {}, {}", TextOf(ingress, "pod"), TextOf(ingress, "says"));
}

void Deny(json& answer, const json& ingress) {
  answer["verdict"] = "denied";
  answer["audited"] = false;
  answer["says"] = IntoText(ingress);
  const size_t led_to = ListOf(answer, "at").size();
  if (led_to > kMostWays) {
    answer["says"] = fmt::format("{} (none of the first {} of {} addresses lets it in)",
                                 IntoText(ingress), kMostWays, led_to);
  }
  for (const char* key : {"rule", "isolatedBy", "nearest"}) answer.erase(key);
  for (const char* key : {"isolatedBy", "nearest"}) {
    if (ingress.contains(key)) answer[key] = ingress[key];
  }
}

bool IsAudited(const json& way, const std::optional<json>& ingress) {
  return FieldOf(way, "audited") == true || (ingress && FieldOf(*ingress, "audited") == true);
}

// By `way`, and by the ingress policies there, or nothing where none isolates.
void Allow(json& answer, const json& way, const std::optional<json>& ingress) {
  answer["audited"] = IsAudited(way, ingress);
  answer["says"] = TextOf(way, "says");
  answer.erase("rule");
  if (way.contains("rule")) answer["rule"] = way["rule"];
  if (ingress) answer["says"] = fmt::format("{}; {}", TextOf(way, "says"), IntoText(*ingress));
}

}  // namespace

std::shared_ptr<const EgressRules> RulesOf(PodPolicies policies, const Pod& pod) {
  PolicyCompiler compiler;
  std::vector<IpAddress> always = std::move(policies.node_addresses);
  always.insert(always.end(), pod.ips.begin(), pod.ips.end());
  compiler.SetPolicies(std::move(policies.policies), std::move(always));
  for (const auto& [name, peers] : policies.peers) compiler.SetPeers(name, peers);
  return compiler.Commit();
}

std::optional<ConnectionVerdict> JudgeIngress(const Snapshot& snapshot,
                                              const PolicySnapshot& policies, const Pod& client,
                                              const Pod& pod, const SocketAddress& to,
                                              Protocol protocol) {
  const IpAddress* from = AddressLike(client.ips, to.ip);
  if (from == nullptr) return std::nullopt;
  PodPolicies found = IngressPoliciesOf(snapshot, policies, pod, *from);
  for (PolicyInput& policy : found.policies) {
    policy = WithOwnPorts(std::move(policy), *pod.named_ports);
  }
  const auto rules = RulesOf(std::move(found), pod);
  ConnectionVerdict verdict =
      JudgeConnection(*rules, {.port = to.port, .protocol = protocol, .at = {{*from, to.port}}});
  if (!rules->isolates()) {
    if (!verdict.audited) return std::nullopt;
    verdict.says = "no policy in force limits who may connect to it";
  }
  return verdict;
}

void AddIngress(json& answer, IngressAt ingress_at) {
  answer["ingress"] = json::array();
  // A copy: `answer` changes.
  const json ways = ListOf(answer, "ways");
  if (TextOf(answer, "verdict") != "allowed") return;
  const json* let_in = nullptr;
  std::optional<json> let_in_by;
  for (size_t i = 0; i < std::min(ways.size(), kMostWays); ++i) {
    const auto to = SocketAddress::Parse(TextOf(ways[i], "at"));
    if (!to.ok() || TextOf(ways[i], "verdict") != "allowed") continue;
    std::optional<json> ingress = ingress_at(*to);
    const bool allowed = !ingress || TextOf(*ingress, "verdict") == "allowed";
    const bool better =
        let_in == nullptr || (IsAudited(*let_in, let_in_by) && !IsAudited(ways[i], ingress));
    if (allowed && better) {
      let_in = &ways[i];
      let_in_by = ingress;
    }
    if (!ingress) continue;
    (*ingress)["at"] = to->ToString();
    answer["ingress"].push_back(*std::move(ingress));
  }
  if (let_in != nullptr) return Allow(answer, *let_in, let_in_by);
  if (!answer["ingress"].empty()) Deny(answer, answer["ingress"][0]);
}

}  // namespace portolan::xds
