// Resources of policies as a control plane sends them, for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/xds/api/samples.h"
#include "xds/api/policy_codec.h"

namespace portolan::api {

inline Peers PeersOf(const std::vector<std::string>& addresses) {
  Peers peers;
  for (const std::string& address : addresses) peers.push_back({*IpAddress::Parse(address), 0});
  return peers;
}

inline Resource EgressPolicyResource(const std::string& name, const std::string& version,
                                     std::vector<std::string> policies) {
  const EgressPolicy policy{std::move(policies), {*IpAddress::Parse("192.168.0.7")}};
  return MakeResource(name, version, ToProto(policy));
}

inline Resource BothWaysResource(const std::string& name, const std::string& version,
                                 std::vector<std::string> egress, std::vector<std::string> ingress,
                                 std::vector<ContainerPort> ports) {
  const EgressPolicy policy{
      std::move(egress), {*IpAddress::Parse("192.168.0.7")}, std::move(ingress), std::move(ports)};
  return MakeResource(name, version, ToProto(policy));
}

// A policy of ingress that isolates, with one rule that allows these sets at the pod's port of that
// name.
inline Resource NamedPortRulesResource(const std::string& name, const std::string& version,
                                       std::vector<std::string> peer_sets,
                                       const std::string& port) {
  RuleInput rule;
  rule.peer_sets = std::move(peer_sets);
  rule.ports = {{Protocol::kTcp, 0, 0, port}};
  PolicyInput policy;
  policy.isolates = true;
  policy.rules.push_back(std::move(rule));
  return MakeResource(name, version, ToProto(policy));
}

// A policy that isolates, with one rule that allows these sets at every port.
inline Resource RulesResource(const std::string& name, const std::string& version,
                              std::vector<std::string> peer_sets) {
  RuleInput rule;
  rule.peer_sets = std::move(peer_sets);
  PolicyInput policy;
  policy.isolates = true;
  if (!rule.peer_sets.empty()) policy.rules.push_back(std::move(rule));
  return MakeResource(name, version, ToProto(policy));
}

inline Resource PeerSetResource(const std::string& name, const std::string& version,
                                const std::vector<std::string>& addresses) {
  return MakeResource(name, version, ToProto("pods of a test", PeersOf(addresses)));
}

inline Resource PeerChangeResource(const std::string& name, const std::string& version,
                                   const std::string& base, const std::vector<std::string>& added,
                                   const std::vector<std::string>& removed) {
  return MakeResource(name, version, ToProto(PeerSet{{}, base, PeersOf(added), PeersOf(removed)}));
}

}  // namespace portolan::api
