#include "proxy/explain/connections.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "common/text.h"
#include "directory/listing.h"
#include "proxy/explain/eligibility.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using Match = RouteTable::Match;
using Workers = std::vector<std::vector<Balancer::EndpointState>>;

// What all workers know of an endpoint.
struct Known {
  uint32_t open = 0;
  uint32_t failures = 0;  // in a row, of the worker with the most
  size_t ejected_by = 0;  // workers
  absl::Duration ejected_for;
  bool kept = false;  // by session affinity
};

std::map<SocketAddress, Known> Sum(const Workers& workers) {
  std::map<SocketAddress, Known> known;
  for (const auto& states : workers) {
    for (const Balancer::EndpointState& state : states) {
      Known& one = known[state.address];
      one.open += state.active;
      one.failures = std::max(one.failures, state.failures);
      one.ejected_by += state.ejected ? 1 : 0;
      one.ejected_for = std::max(one.ejected_for, state.ejected_for);
      one.kept = one.kept || state.kept;
    }
  }
  return known;
}

std::string_view CapturedWord(Protocol protocol, bool udp) {
  switch (protocol) {
    case Protocol::kTcp:
      return "where portolan-init's rules lead it here: by default what goes to Service and pod "
             "addresses";
    case Protocol::kUdp:
      return udp ? "where portolan-init's rules lead it here"
                 : "no: --udp is off, and kube-proxy carries it";
    case Protocol::kSctp:
      break;
  }
  return "no: SCTP is left to kube-proxy";
}

struct OutcomeWords {
  std::string_view outcome;
  std::string_view says;
};

OutcomeWords WordsOf(Match match) {
  switch (match) {
    case Match::kNotAService:
      return {"passed_through", "no Service's address: connected to as dialled"};
    case Match::kNoSuchPort:
      return {"no_port", "the cluster IP has no such port: reset"};
    case Match::kEndpointsUnknown:
      return {"passed_through",
              "its endpoints are not held: they are asked for, and waited for at most 1 s"};
    case Match::kNoEndpoints:
      return {"no_endpoints", "the Service has no eligible endpoint: reset"};
    case Match::kNoLocalEndpoints:
      return {"no_local_endpoints",
              "internalTrafficPolicy is Local, and only other nodes have endpoints: reset"};
    case Match::kEndpoints:
      break;
  }
  return {"forwarded", "joined to an eligible endpoint"};
}

bool IsForwarded(Protocol protocol, bool udp) {
  return protocol == Protocol::kTcp || (protocol == Protocol::kUdp && udp);
}

PolicyVerdict JudgePassedThrough(const ExplainedPolicy& policy, const SocketAddress& to,
                                 Protocol protocol) {
  return IsOfServices(policy, to.ip) ? JudgeUnheld(policy, to.ip.family(), protocol)
                                     : JudgeAddress(policy, to, protocol);
}

// What is no Service's and passed through, at each port that it may be dialled at.
json PassedThroughVerdict(const ExplainedConnection& connection,
                          const ConnectionSurroundings& around) {
  std::vector<uint16_t> ports = {around.port};
  if (around.port == 0) ports.assign(std::begin(kUsualPorts), std::end(kUsualPorts));
  json by_port = json::array();
  for (const uint16_t port : ports) {
    const SocketAddress to{connection.dialled.ip, port};
    const auto by_name = JudgeDialled(around.policy, around.learned_as, to, connection.protocol);
    by_port.push_back(
        ToJson(by_name.value_or(JudgePassedThrough(around.policy, to, connection.protocol))));
    if (around.port == 0) by_port.back()["port"] = port;
  }
  json verdict = by_port[0];
  verdict.erase("port");
  if (by_port.size() == 1 || by_port[0]["says"] == by_port[1]["says"]) return verdict;
  if (by_port[0]["verdict"] != by_port[1]["verdict"]) {
    verdict = {{"verdict", "by port"}, {"says", "it depends on the port that is dialled"}};
  }
  verdict["ports"] = std::move(by_port);
  return verdict;
}

std::string_view Word(LoadBalancing how) {
  switch (how) {
    case LoadBalancing::kLeastLoad:
      return "least-load";
    case LoadBalancing::kRoundRobin:
      return "round-robin";
    case LoadBalancing::kRandom:
      break;
  }
  return "random";
}

std::string_view SaysOf(LoadBalancing how) {
  switch (how) {
    case LoadBalancing::kLeastLoad:
      return "the next in turn or one at random, whichever has fewer open connections";
    case LoadBalancing::kRoundRobin:
      return "the next in turn";
    case LoadBalancing::kRandom:
      break;
  }
  return "one at random";
}

json ChoiceJson(const Route& route, const std::map<SocketAddress, Known>& known) {
  const RoutePolicy& policy = route.policy;
  json choice = {{"how", Word(policy.load_balancing)},
                 {"says", SaysOf(policy.load_balancing)},
                 {"open", route.target->shared->connections.load(std::memory_order_relaxed)}};
  if (policy.max_connections > 0) choice["maxConnections"] = policy.max_connections;
  if (policy.affinity_seconds == 0) return choice;
  json kept = nullptr;
  for (const auto& [address, one] : known) {
    if (one.kept) kept = address.ToString();
  }
  choice["affinity"] = {{"seconds", policy.affinity_seconds}, {"kept", kept}};
  choice["says"] =
      kept.is_null()
          ? fmt::format("session affinity, none kept yet: {}", SaysOf(policy.load_balancing))
          : fmt::format("session affinity: {} again", kept.get<std::string>());
  return choice;
}

// All that the Service has for the route's port and family, eligible or not.
std::vector<Eligibility> EndpointsOf(const ExplainedConnection& connection,
                                     const ConnectionSurroundings& around) {
  const Service* service = around.snapshot.FindService(connection.service);
  const SliceSet* set = around.snapshot.FindSlices(connection.service);
  if (service == nullptr || set == nullptr) return {};
  std::vector<std::shared_ptr<const EndpointSlice>> slices;
  for (const auto& [name, slice] : *set) {
    if (slice->family == connection.dialled.ip.family()) slices.push_back(slice);
  }
  const auto& ips = service->cluster_ips;
  const bool at_cluster_ip = std::find(ips.begin(), ips.end(), connection.dialled.ip) != ips.end();
  return ExplainEligibility(
      EndpointsForPort(slices, connection.port_name, connection.protocol),
      at_cluster_ip ? service->internal_traffic_policy : TrafficPolicy::kCluster, around.here);
}

// An endpoint, and what policy says of it.
struct Judged {
  Eligibility eligibility;
  PolicyVerdict verdict;

  bool may_be_used() const { return eligibility.why_not.empty() && !verdict.denied(); }
};

std::vector<Judged> JudgeAll(std::vector<Eligibility> all,
                             const std::optional<PolicyVerdict>& by_name, Protocol protocol,
                             const ExplainedPolicy& policy) {
  std::vector<Judged> judged;
  for (Eligibility& one : all) {
    const SocketAddress& to = one.endpoint.address;
    PolicyVerdict verdict = by_name.has_value() ? *by_name : JudgeAddress(policy, to, protocol);
    judged.push_back({std::move(one), std::move(verdict)});
  }
  return judged;
}

// Of a Service as a whole: what holds of the eligible endpoints. Audited only where no other one is
// left: enforced, policies in audit have that one taken instead.
PolicyVerdict ServiceVerdict(const std::vector<Judged>& endpoints,
                             const std::optional<PolicyVerdict>& by_name) {
  if (by_name.has_value()) return *by_name;
  const Judged* first_denied = nullptr;
  const Judged* first_allowed = nullptr;
  size_t eligible = 0, allowed = 0;
  for (const Judged& one : endpoints) {
    if (!one.eligibility.why_not.empty()) continue;
    ++eligible;
    if (!one.verdict.denied()) ++allowed;
    const Judged*& first = one.verdict.denied() ? first_denied : first_allowed;
    const bool better = first == nullptr || (first->verdict.kind == PolicyVerdict::Kind::kAudited &&
                                             one.verdict.kind == PolicyVerdict::Kind::kAllowed);
    if (better) first = &one;
  }
  if (eligible == 0) return {.kind = PolicyVerdict::Kind::kAllowed, .says = "nobody to judge"};
  PolicyVerdict verdict = allowed > 0 ? first_allowed->verdict : first_denied->verdict;
  if (allowed == 0) {
    verdict.says = "no rule allows an endpoint";
  } else if (allowed < eligible) {
    verdict.says = fmt::format("of {} eligible endpoints {} are allowed", eligible, allowed);
  }
  return verdict;
}

json EndpointJson(const Judged& judged, const Known& known, size_t workers) {
  const Eligibility& one = judged.eligibility;
  const Endpoint& endpoint = *one.endpoint.endpoint;
  json out = {{"address", one.endpoint.address.ToString()},
              {"pod", endpoint.pod.name.empty() ? "" : endpoint.pod.ToString()},
              {"node", endpoint.node_name},
              {"zone", endpoint.zone},
              {"eligible", one.why_not.empty()},
              {"open", known.open},
              {"policy", ToJson(judged.verdict)}};
  if (!one.why_not.empty()) {
    out["why"] = one.why_not;
  } else if (judged.verdict.denied()) {
    out["why"] = "denied by policy: " + judged.verdict.says;
  }
  if (known.failures > 0) out["failures"] = known.failures;
  if (known.ejected_by > 0) {
    out["ejectedFor"] =
        absl::ToDoubleSeconds(absl::Trunc(known.ejected_for, absl::Milliseconds(1)));
    out["why"] = fmt::format(
        "ejected: could not be connected to {} times in a row, passed over by {} of {} workers for "
        "{} more",
        known.failures, known.ejected_by, workers,
        absl::FormatDuration(absl::Ceil(known.ejected_for, absl::Milliseconds(100))));
  }
  return out;
}

json EndpointsJson(const std::vector<Judged>& all, const std::map<SocketAddress, Known>& known,
                   size_t workers) {
  const auto of = [&](const Judged& one) {
    const auto found = known.find(one.eligibility.endpoint.address);
    return found == known.end() ? Known() : found->second;
  };
  const auto is_passed_over = [&](const Known& state) {
    return workers > 0 && state.ejected_by == workers;
  };
  // Where every worker passes over each of them, one of them is better than none.
  size_t usable = 0, eligible = 0;
  bool kept = false;
  for (const Judged& one : all) {
    if (!one.may_be_used()) continue;
    const Known state = of(one);
    ++eligible;
    if (!is_passed_over(state)) ++usable;
    kept = kept || (state.kept && state.ejected_by == 0);
  }
  json endpoints = json::array();
  for (const Judged& one : all) {
    if (endpoints.size() == kMostExplainedEndpoints) break;
    const Known state = of(one);
    json out = EndpointJson(one, state, workers);
    const bool among = one.may_be_used() && (usable == 0 || !is_passed_over(state));
    const size_t candidates = usable == 0 ? eligible : usable;
    if (!among) {
      out["next"] = "no";
    } else if (kept) {
      out["next"] = state.kept ? "chosen" : "no";
      if (!state.kept) out["why"] = "session affinity keeps another one";
    } else {
      out["next"] = candidates == 1 ? "chosen" : "one of";
    }
    endpoints.push_back(std::move(out));
  }
  return endpoints;
}

}  // namespace

std::string_view SaysOf(Match match) { return WordsOf(match).says; }

std::vector<IpAddress> AddressesIn(const json& answers) {
  std::vector<IpAddress> addresses;
  for (const json& line : answers) {
    const auto words = SplitBlanks(line.get_ref<const std::string&>());
    if (words.size() != 5 || (words[3] != "A" && words[3] != "AAAA")) continue;
    const auto address = IpAddress::Parse(words[4]);
    if (!address.ok()) continue;
    const bool known = std::find(addresses.begin(), addresses.end(), *address) != addresses.end();
    if (!known) addresses.push_back(*address);
  }
  return addresses;
}

std::vector<ExplainedConnection> ConnectionsTo(const std::vector<IpAddress>& addresses,
                                               const RouteTable& routes) {
  std::vector<ExplainedConnection> connections;
  for (const IpAddress& ip : addresses) {
    const Service* service = routes.snapshot().FindServiceByAddress(ip);
    if (service == nullptr) {
      connections.push_back({.dialled = {ip, 0}, .port_name = {}, .service = {}, .route = nullptr});
      continue;
    }
    for (const ServicePort& port : service->ports) {
      const SocketAddress dialled{ip, port.port};
      const RouteTable::Lookup found = routes.Find(dialled, port.protocol);
      connections.push_back({.dialled = dialled,
                             .protocol = port.protocol,
                             .port_name = port.name,
                             .match = found.match,
                             .service = service->name.ToString(),
                             .route = found.route == nullptr ? nullptr : *found.route});
    }
  }
  if (connections.size() > kMostExplainedPorts) connections.resize(kMostExplainedPorts);
  return connections;
}

json ConnectionJson(const ExplainedConnection& connection, const Workers& workers,
                    const ConnectionSurroundings& around) {
  const bool forwarded = IsForwarded(connection.protocol, around.udp);
  const OutcomeWords words =
      forwarded ? WordsOf(connection.match) : OutcomeWords{"not_captured", "kube-proxy carries it"};
  json out = {{"address", connection.dialled.ip.ToString()},
              {"protocol", ProtocolWord(connection.protocol)},
              {"captured", CapturedWord(connection.protocol, around.udp)},
              {"outcome", words.outcome},
              {"says", words.says}};
  const auto deny = [&](std::string_view says) {
    out["outcome"] = "policy_denied";
    out["says"] = says;
  };
  if (connection.service.empty()) {
    out["policy"] = PassedThroughVerdict(connection, around);
    if (out["policy"]["verdict"] != "denied") return out;
    deny(IsOfServices(around.policy, connection.dialled.ip)
             ? "an address of the Services' ranges, and no known Service's: policy denies it: reset"
             : "policy denies the address: reset");
    return out;
  }
  out["service"] = connection.service;
  out["port"] = connection.dialled.port;
  out["portName"] = connection.port_name;
  if (!forwarded) {
    out["policy"] = {{"verdict", "not enforced"}, {"says", "it does not come to the sidecar"}};
    return out;
  }
  const std::map<SocketAddress, Known> known = Sum(workers);
  if (connection.route != nullptr) out["choice"] = ChoiceJson(*connection.route, known);
  const auto by_name =
      JudgeDialled(around.policy, around.learned_as, connection.dialled, connection.protocol);
  const std::vector<Judged> all =
      JudgeAll(EndpointsOf(connection, around), by_name, connection.protocol, around.policy);
  // Where they do not come in time it is passed through.
  const bool unknown = connection.match == Match::kEndpointsUnknown && !by_name.has_value();
  const PolicyVerdict verdict =
      unknown ? JudgeUnheld(around.policy, connection.dialled.ip.family(), connection.protocol)
              : ServiceVerdict(all, by_name);
  out["policy"] = ToJson(verdict);
  if (verdict.denied()) {
    deny(unknown ? "its endpoints are not held: if they do not come within 1 s, policy denies it: "
                   "reset"
                 : "policy denies every eligible endpoint: reset");
  }
  out["endpoints"] = EndpointsJson(all, known, workers.size());
  if (all.size() > kMostExplainedEndpoints) out["more"] = all.size() - kMostExplainedEndpoints;
  return out;
}

}  // namespace portolan::proxy
