#include "ctl/policy/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "common/text.h"
#include "ctl/service_name.h"
#include "dns/wire/name.h"
#include "proxy/policy/egress_rules.h"
#include "proxy/policy/policy_compiler.h"
#include "xds/policy/pod_policies.h"

namespace portolan::ctl {
namespace {

using proxy::EgressRules;

// What is dialled.
struct Target {
  std::string wire = {};  // the name that is asked for, in wire form; empty: an address was given
  bool in_cluster = false;
  std::vector<SocketAddress> at = {};
};

Pod PodOf(const Snapshot& snapshot, const ObjectName& name) {
  if (const Pod* pod = snapshot.FindPod(name.ns + "/" + name.name)) return *pod;
  Pod pod;
  pod.name = name;
  return pod;
}

std::shared_ptr<const EgressRules> RulesFor(const std::shared_ptr<const Snapshot>& snapshot,
                                            const Pod& pod) {
  xds::PodPolicies policies = xds::PolicyRulesFor(snapshot, pod);
  proxy::PolicyCompiler compiler;
  std::vector<IpAddress> always = std::move(policies.node_addresses);
  always.insert(always.end(), pod.ips.begin(), pod.ips.end());
  compiler.SetPolicies(std::move(policies.policies), std::move(always));
  for (auto& [name, peers] : policies.peers) compiler.SetPeers(name, std::move(peers));
  return compiler.Commit();
}

// Where a connection to the Service's port goes: the endpoints' own ports.
std::vector<SocketAddress> EndpointsOf(const Snapshot& snapshot, const Service& service,
                                       const std::string& hostname,
                                       const PolicyQuestion& question) {
  std::vector<SocketAddress> at = {};
  const ServicePort* dialled = nullptr;
  for (const ServicePort& port : service.ports) {
    if (port.port == question.port && port.protocol == question.protocol) dialled = &port;
  }
  // What no port of the Service is goes to the address as it is.
  if (!service.headless && dialled == nullptr) {
    for (const IpAddress& ip : service.cluster_ips) at.push_back({ip, question.port});
    return at;
  }
  const SliceSet* slices = snapshot.FindSlices(service.name.ns + "/" + service.name.name);
  if (slices == nullptr) return at;
  for (const auto& [name, slice] : *slices) {
    uint16_t number = service.headless ? question.port : 0;
    for (const EndpointPort& port : slice->ports) {
      const bool same =
          !service.headless && port.name == dialled->name && port.protocol == dialled->protocol;
      if (same) number = port.port == 0 ? question.port : port.port;
    }
    for (const Endpoint& endpoint : slice->endpoints) {
      const bool ready = endpoint.conditions.ready || service.publish_not_ready_addresses;
      if (number == 0 || !ready || endpoint.addresses.empty()) continue;
      if (!hostname.empty() && endpoint.hostname != hostname) continue;
      at.push_back({endpoint.addresses.front(), number});
    }
  }
  return at;
}

std::string WireOf(const std::string& name) {
  auto wire = dns::wire::NameToWire(name);
  return wire.ok() ? *std::move(wire) : std::string();
}

Target TargetOf(const Snapshot& snapshot, const PolicyQuestion& question) {
  if (const auto ip = IpAddress::Parse(question.to); ip.ok()) {
    const Service* service = snapshot.FindServiceByAddress(*ip);
    if (service == nullptr) return {.at = {{*ip, question.port}}};
    return {.at = EndpointsOf(snapshot, *service, "", question)};
  }
  const auto named = ParseServiceName(question.to, question.from.ns);
  const Service* service = nullptr;
  if (named.ok() && (named->domain.empty() || Lower(named->domain) == question.cluster_domain)) {
    service = snapshot.FindService(named->ns, named->name);
  }
  if (service == nullptr) {
    const std::string name = Lower(question.to);
    const bool in_cluster = ("." + name + (name.ends_with('.') ? "" : "."))
                                .ends_with("." + question.cluster_domain + ".");
    return {.wire = WireOf(question.to), .in_cluster = in_cluster};
  }
  const std::string host = named->hostname.empty() ? "" : named->hostname + ".";
  return {.wire = WireOf(fmt::format("{}{}.{}.svc.{}.", host, named->name, named->ns,
                                     question.cluster_domain)),
          .in_cluster = true,
          .at = EndpointsOf(snapshot, *service, named->hostname, question)};
}

std::span<const uint8_t> BytesOf(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

std::string NameOf(const EgressRules& rules, uint32_t rule) {
  const EgressRules::RuleName name = rules.rule_name(rule);
  return fmt::format("rule {} of {} allows it", name.index, name.policy);
}

}  // namespace

PolicyAnswer AnswerOf(const std::shared_ptr<const Snapshot>& snapshot,
                      const PolicyQuestion& question) {
  const auto rules = RulesFor(snapshot, PodOf(*snapshot, question.from));
  const Target target = TargetOf(*snapshot, question);
  const auto wire = BytesOf(target.wire);
  PolicyAnswer answer;
  answer.at = target.at;
  if (!wire.empty() && !target.in_cluster) {
    const EgressRules::Verdict name = rules->JudgeName(wire);
    if (!name.allowed) {
      return {.allowed = false,
              .says = fmt::format("no rule of {} has the name: it is not resolved",
                                  absl::StrJoin(rules->isolating_names(), ", ")),
              .nearest = rules->NearestName(wire),
              .at = target.at};
    }
  }
  std::optional<EgressRules::Verdict> learned;
  if (!wire.empty()) learned = rules->JudgeLearned(wire, question.port, question.protocol);
  if (learned.has_value() && learned->allowed) {
    answer.says = NameOf(*rules, learned->rule);
    return answer;
  }
  for (const SocketAddress& at : target.at) {
    const EgressRules::Verdict verdict = rules->Judge(at, question.protocol);
    if (!verdict.allowed) continue;
    answer.audited = verdict.audited && !(learned.has_value() && learned->rule != rules->kNone);
    answer.says = verdict.rule != EgressRules::kNone ? NameOf(*rules, verdict.rule)
                  : rules->isolates() ? "what is its own or its node's is always allowed"
                                      : "no policy limits what the pod may reach";
    return answer;
  }
  if (!rules->isolates()) {
    answer.says = "no policy limits what the pod may reach";
    return answer;
  }
  answer.allowed = false;
  answer.says = fmt::format("no rule of {} allows it", absl::StrJoin(rules->isolating(), ", "));
  if (!target.at.empty()) {
    answer.nearest = rules->Nearest(target.at.front(), question.protocol);
  } else if (!wire.empty()) {
    answer.nearest = rules->NearestName(wire);
  }
  return answer;
}

}  // namespace portolan::ctl
