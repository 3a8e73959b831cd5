#include "xds/sources/admin_network_policy.h"

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xds/sources/dns_egress_policy.h"
#include "xds/sources/network_policy.h"
#include "xds/sources/objects.h"
#include "xds/sources/read_fields.h"

namespace portolan::xds {
namespace {

using Ports = std::vector<NetworkPolicyPort>;

// What the two kinds say in words of their own.
struct Dialect {
  DnsEgressPolicy::Kind kind;
  std::string_view accept;  // the action
  std::string_view ports;   // the rule's list of them
  NetworkPolicyPort (*read_port)(const Field& item);
};

// The one of `keys` that a map holds, as all of it. What holds another is of a version that we do
// not know, and would mean too much if that was overlooked.
std::string_view OnlyKey(const Field& map, std::initializer_list<std::string_view> keys) {
  std::string_view found;
  size_t count = 0;
  map.ForEachField([&](const std::string&, const Field& field) { count += field.present(); });
  std::string known;
  for (const std::string_view key : keys) {
    const Field field = map[key];
    if (field.present()) found = key;
    known += known.empty() ? "" : ", ";
    known += key;
  }
  if (count != 1 || found.empty()) map.Fail(fmt::format("is not one of {}", known));
  return count == 1 ? found : std::string_view();
}

uint16_t ReadNeededPort(const Field& field) {
  if (!field.present()) field.Fail("is missing");
  return ReadPort(field);
}

void ReadRange(const Field& range, NetworkPolicyPort& port) {
  const Field start = range["start"];
  const Field end = range["end"];
  port.port = ReadNeededPort(start);
  port.end_port = ReadNeededPort(end);
  if (port.end_port <= port.port) end.Fail("is not above start");
}

constexpr char kNoNamedPorts[] = "what a name leads to has no named ports";

// ClusterNetworkPolicy: {tcp: {destinationPort: {number: 443}}}
NetworkPolicyPort ReadProtocolMatch(const Field& item) {
  NetworkPolicyPort port;
  const std::string_view word = OnlyKey(item, {"tcp", "udp", "sctp", "destinationNamedPort"});
  if (word.empty()) return port;
  const Field match = item[word];
  if (word == "destinationNamedPort") {
    match.Fail(kNoNamedPorts);
    return port;
  }
  port.protocol = word == "tcp" ? Protocol::kTcp : word == "udp" ? Protocol::kUdp : Protocol::kSctp;
  if (OnlyKey(match, {"destinationPort"}).empty()) return port;
  const Field destination = match["destinationPort"];
  const Field number = destination["number"];
  const Field range = destination["range"];
  const std::string_view form = OnlyKey(destination, {"number", "range"});
  if (form == "number") port.port = ReadPort(number);
  if (form == "range") ReadRange(range, port);
  return port;
}

// AdminNetworkPolicy: {portNumber: {protocol: TCP, port: 443}}
NetworkPolicyPort ReadAdminPort(const Field& item) {
  NetworkPolicyPort port;
  const std::string_view form = OnlyKey(item, {"portNumber", "portRange", "namedPort"});
  if (form.empty()) return port;
  const Field match = item[form];
  if (form == "namedPort") {
    match.Fail(kNoNamedPorts);
    return port;
  }
  const Field protocol = match["protocol"];
  port.protocol = ReadProtocol(protocol);
  if (form == "portRange") {
    ReadRange(match, port);
  } else {
    const Field number = match["port"];
    port.port = ReadNeededPort(number);
  }
  return port;
}

constexpr Dialect kCluster = {DnsEgressPolicy::Kind::kClusterNetworkPolicy, "Accept", "protocols",
                              ReadProtocolMatch};
constexpr Dialect kAdmin = {DnsEgressPolicy::Kind::kAdminNetworkPolicy, "Allow", "ports",
                            ReadAdminPort};

void ReadSubject(const Field& subject, DnsEgressPolicy& policy) {
  const std::string_view form = OnlyKey(subject, {"namespaces", "pods"});
  const Field namespaces = subject["namespaces"];
  const Field pods = subject["pods"];
  if (form == "namespaces") policy.namespaces = ReadSelector(namespaces);
  if (form != "pods") return;
  const Field of_namespaces = pods["namespaceSelector"];
  const Field of_pods = pods["podSelector"];
  policy.namespaces = ReadSelector(of_namespaces);
  policy.pods = ReadSelector(of_pods);
  if (!of_pods.present()) of_pods.Fail("is missing");
}

// Nothing where its peers have no names.
std::vector<NamePattern> ReadDomainNames(const Field& peers) {
  std::vector<NamePattern> names;
  peers.ForEachItem([&](const Field& peer) {
    const Field domains = peer["domainNames"];
    if (!domains.present()) return;
    OnlyKey(peer, {"domainNames"});
    for (NamePattern& pattern : ReadNamePatterns(domains, kMostDomainNames)) {
      names.push_back(std::move(pattern));
    }
  });
  return names;
}

void ReadRule(const Field& item, const Dialect& dialect, uint32_t index, DnsEgressPolicy& policy) {
  const Field peers = item["to"];
  DnsEgressRule rule;
  rule.index = index;
  rule.names = ReadDomainNames(peers);
  if (rule.names.empty()) return;
  const Field action = item["action"];
  if (action.String() != dialect.accept) {
    action.Fail(fmt::format("'{}': domainNames stand in rules of action {} alone", action.String(),
                            dialect.accept));
  }
  const Field ports = item[dialect.ports];
  ports.ForEachItem([&](const Field& port) { rule.ports.push_back(dialect.read_port(port)); });
  // None would mean all.
  if (ports.present() && rule.ports.empty()) ports.Fail("is empty");
  policy.rules.push_back(std::move(rule));
}

std::optional<DnsEgressPolicy> Read(const Field& object, const Dialect& dialect,
                                    const Origin& origin) {
  DnsEgressPolicy policy;
  policy.kind = dialect.kind;
  policy.name = {"", NameOf(object).name};
  policy.origin = origin;
  const Field metadata = object["metadata"];
  const Field generation = metadata["generation"];
  const Field spec = object["spec"];
  const Field subject = spec["subject"];
  const Field rules = spec["egress"];
  policy.api_generation = generation.Int(0);
  uint32_t index = 0;
  rules.ForEachItem([&](const Field& rule) { ReadRule(rule, dialect, index++, policy); });
  if (policy.rules.empty()) return std::nullopt;
  ReadSubject(subject, policy);
  return policy;
}

}  // namespace

std::optional<DnsEgressPolicy> ReadClusterNetworkPolicy(const Field& object, const Origin& origin) {
  const Field spec = object["spec"];
  const Field tier = spec["tier"];
  const std::string word = tier.String();
  if (word == "Baseline") return std::nullopt;
  std::optional<DnsEgressPolicy> policy = Read(object, kCluster, origin);
  if (!policy.has_value()) return std::nullopt;
  if (word.empty()) tier.Fail("is missing");
  if (word != "Admin") tier.Fail(fmt::format("'{}' is none of Admin, Baseline", word));
  return policy;
}

std::optional<DnsEgressPolicy> ReadAdminNetworkPolicy(const Field& object, const Origin& origin) {
  return Read(object, kAdmin, origin);
}

}  // namespace portolan::xds
