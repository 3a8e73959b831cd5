#include "ctl/policy/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "ctl/service_name.h"
#include "directory/port_endpoints.h"
#include "dns/wire/name.h"
#include "policy/connection_verdict.h"
#include "xds/dashboard/ingress.h"
#include "xds/policy/pod_policies.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

// What is dialled.
struct Target {
  std::string wire = {};  // the name that is asked for, in wire form; empty: an address was given
  bool in_cluster = false;
  std::vector<SocketAddress> at = {};
  std::string_view besides = {};  // what else is in the way; empty: nothing
};

// Null: no pod has it, but perhaps one that shares its node's.
const Pod* PodAt(const Snapshot& snapshot, const IpAddress& ip) {
  const Pod* found = nullptr;
  snapshot.ForEachPod([&](const Pod& pod) {
    if (!pod.host_network && std::find(pod.ips.begin(), pod.ips.end(), ip) != pod.ips.end()) {
      found = &pod;
    }
  });
  return found;
}

using Slices = std::vector<std::shared_ptr<const EndpointSlice>>;

bool MayBeUsed(const Service& service, const Endpoint& endpoint) {
  return endpoint.conditions.ready || service.publish_not_ready_addresses;
}

// "db-*" (manifest_cluster.h) is called db-0 and on.
bool IsCalled(const Endpoint& endpoint, std::string_view hostname) {
  std::string_view own = endpoint.hostname;
  if (!own.ends_with("-*")) return own == hostname;
  own.remove_suffix(1);
  if (!hostname.starts_with(own)) return false;
  hostname.remove_prefix(own.size());
  return !hostname.empty() && hostname.find_first_not_of("0123456789") == hostname.npos;
}

// The port that is dialled is the pod's own. `hostname`: of this pod alone; empty: of all.
std::vector<SocketAddress> PodsOf(const Service& service, const Slices& slices,
                                  const std::string& hostname, uint16_t port) {
  std::vector<SocketAddress> at;
  for (const auto& slice : slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty() || !MayBeUsed(service, endpoint)) continue;
      if (!hostname.empty() && !IsCalled(endpoint, hostname)) continue;
      at.push_back({endpoint.addresses.front(), port});
    }
  }
  return at;
}

// The one that is dialled; null: it has none such.
const ServicePort* PortOf(const Service& service, const PolicyQuestion& question) {
  const auto found =
      std::find_if(service.ports.begin(), service.ports.end(), [&](const ServicePort& port) {
        return port.port == question.port && port.protocol == question.protocol;
      });
  return found == service.ports.end() ? nullptr : &*found;
}

// As sidecars say it. Services without a cluster IP are dialled at any port.
std::string_view BesidesOf(const Service& service, const PolicyQuestion& question) {
  const bool any_port = service.headless || service.type == ServiceType::kExternalName;
  if (any_port || PortOf(service, question) != nullptr) return {};
  return "the cluster IP has no such port: reset";
}

bool HasClusterIp(const Service& service, const IpAddress& ip) {
  const auto& ips = service.cluster_ips;
  return std::find(ips.begin(), ips.end(), ip) != ips.end();
}

// Where a connection to the Service goes.
std::vector<SocketAddress> EndpointsOf(const Snapshot& snapshot, const Service& service,
                                       const std::string& hostname,
                                       const PolicyQuestion& question) {
  std::array<Slices, 2> slices;  // by family
  if (const SliceSet* set = snapshot.FindSlices(service.name.ns + "/" + service.name.name)) {
    for (const auto& [name, slice] : *set) {
      slices[static_cast<size_t>(slice->family)].push_back(slice);
    }
  }
  const ServicePort* dialled = PortOf(service, question);
  std::vector<SocketAddress> at;
  if (!service.headless && dialled == nullptr) return at;
  for (const Slices& of_family : slices) {
    if (service.headless) {
      const auto pods = PodsOf(service, of_family, hostname, question.port);
      at.insert(at.end(), pods.begin(), pods.end());
      continue;
    }
    for (const PortEndpoint& one : EndpointsForPort(of_family, dialled->name, dialled->protocol)) {
      if (MayBeUsed(service, *one.endpoint)) at.push_back(one.address);
    }
  }
  return at;
}

std::string WireOf(const std::string& name) {
  auto wire = dns::wire::NameToWire(name);
  return wire.ok() ? *std::move(wire) : std::string();
}

// Null: there is none. Pods have names of headless Services alone.
const Service* FindService(const Snapshot& snapshot, const ServiceName& named) {
  const Service* service = snapshot.FindService(named.ns, named.name);
  const bool found = service != nullptr && (named.hostname.empty() || service->headless);
  return found ? service : nullptr;
}

// "db-0.db" and "db-0.db.shop", of a pod that is there: else it may be a name of elsewhere.
std::optional<ServiceName> PodNamed(const Snapshot& snapshot, const PolicyQuestion& question) {
  const std::vector<std::string> labels = absl::StrSplit(question.to, '.');
  if (labels.size() != 2 && labels.size() != 3) return std::nullopt;
  ServiceName named{labels.size() == 3 ? labels[2] : question.from.ns, labels[1], labels[0]};
  const Service* service = FindService(snapshot, named);
  const bool found =
      service != nullptr && !EndpointsOf(snapshot, *service, named.hostname, question).empty();
  return found ? std::optional(std::move(named)) : std::nullopt;
}

// What the name leads to as the pod's search list completes it. Nothing: no Service.
std::optional<ServiceName> ServiceNamed(const Snapshot& snapshot, const PolicyQuestion& question) {
  auto named = ParseServiceName(question.to, question.from.ns);
  const bool of_cluster =
      named.ok() && (named->domain.empty() || named->domain == question.cluster_domain);
  if (of_cluster && FindService(snapshot, *named) != nullptr) return *std::move(named);
  return PodNamed(snapshot, question);
}

Target TargetOf(const Snapshot& snapshot, const PolicyQuestion& question) {
  if (const auto ip = IpAddress::Parse(question.to); ip.ok()) {
    const Service* service = snapshot.FindServiceByAddress(*ip);
    if (service == nullptr) return {.at = {{*ip, question.port}}};
    const std::string_view besides = BesidesOf(*service, question);
    // An external address may be that of a machine that serves other ports itself.
    if (!besides.empty() && !HasClusterIp(*service, *ip)) return {.at = {{*ip, question.port}}};
    return {.at = EndpointsOf(snapshot, *service, "", question), .besides = besides};
  }
  const auto named = ServiceNamed(snapshot, question);
  if (!named) {
    const bool in_cluster = ("." + question.to + (question.to.ends_with('.') ? "" : "."))
                                .ends_with("." + question.cluster_domain + ".");
    return {.wire = WireOf(question.to), .in_cluster = in_cluster};
  }
  const Service& service = *FindService(snapshot, *named);
  const std::string host = named->hostname.empty() ? "" : named->hostname + ".";
  return {.wire = WireOf(fmt::format("{}{}.{}.svc.{}.", host, named->name, named->ns,
                                     question.cluster_domain)),
          .in_cluster = true,
          .at = EndpointsOf(snapshot, service, named->hostname, question),
          .besides = BesidesOf(service, question)};
}

}  // namespace

json AnswerOf(const std::shared_ptr<const Snapshot>& snapshot, const PolicyQuestion& question) {
  const Pod& from = *snapshot->FindPod(question.from.ToString());
  const auto policies = xds::PoliciesOf(snapshot);
  const auto rules = xds::RulesOf(xds::EgressPoliciesOf(*snapshot, *policies, from), from);
  const Target target = TargetOf(*snapshot, question);
  TestedConnection connection{.port = question.port,
                              .protocol = question.protocol,
                              .name = target.wire,
                              .in_cluster = target.in_cluster,
                              .at = target.at};
  json answer = ToJson(JudgeConnection(*rules, connection));
  answer["at"] = json::array();
  answer["ways"] = WaysJson(*rules, connection);
  for (const SocketAddress& at : target.at) answer["at"].push_back(at.ToString());
  if (!target.besides.empty()) answer["besides"] = target.besides;
  xds::AddIngress(answer, [&](const SocketAddress& to) -> std::optional<json> {
    const Pod* pod = PodAt(*snapshot, to.ip);
    if (pod == nullptr) return std::nullopt;
    const auto verdict = xds::JudgeIngress(*snapshot, *policies, from, *pod, to, question.protocol);
    if (!verdict) return std::nullopt;
    json said = ToJson(*verdict);
    said["pod"] = pod->name.ToString();
    return said;
  });
  return answer;
}

}  // namespace portolan::ctl
