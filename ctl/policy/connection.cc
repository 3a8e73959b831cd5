#include "ctl/policy/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

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

// The port that is dialled is the pod's own. `hostname`: of this pod alone; empty: of all.
std::vector<SocketAddress> PodsOf(const Service& service, const Slices& slices,
                                  const std::string& hostname, uint16_t port) {
  std::vector<SocketAddress> at;
  for (const auto& slice : slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.addresses.empty() || !MayBeUsed(service, endpoint)) continue;
      if (!hostname.empty() && endpoint.hostname != hostname) continue;
      at.push_back({endpoint.addresses.front(), port});
    }
  }
  return at;
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
  const auto dialled =
      std::find_if(service.ports.begin(), service.ports.end(), [&](const ServicePort& port) {
        return port.port == question.port && port.protocol == question.protocol;
      });
  std::vector<SocketAddress> at;
  if (!service.headless && dialled == service.ports.end()) {
    // What no port of the Service is goes to the address as it is.
    for (const IpAddress& ip : service.cluster_ips) at.push_back({ip, question.port});
    return at;
  }
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

Target TargetOf(const Snapshot& snapshot, const PolicyQuestion& question) {
  if (const auto ip = IpAddress::Parse(question.to); ip.ok()) {
    const Service* service = snapshot.FindServiceByAddress(*ip);
    if (service == nullptr) return {.at = {{*ip, question.port}}};
    return {.at = EndpointsOf(snapshot, *service, "", question)};
  }
  const auto named = ParseServiceName(question.to, question.from.ns);
  const Service* service = nullptr;
  if (named.ok() && (named->domain.empty() || named->domain == question.cluster_domain)) {
    service = snapshot.FindService(named->ns, named->name);
  }
  if (service == nullptr) {
    const bool in_cluster = ("." + question.to + (question.to.ends_with('.') ? "" : "."))
                                .ends_with("." + question.cluster_domain + ".");
    return {.wire = WireOf(question.to), .in_cluster = in_cluster};
  }
  const std::string host = named->hostname.empty() ? "" : named->hostname + ".";
  return {.wire = WireOf(fmt::format("{}{}.{}.svc.{}.", host, named->name, named->ns,
                                     question.cluster_domain)),
          .in_cluster = true,
          .at = EndpointsOf(snapshot, *service, named->hostname, question)};
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
