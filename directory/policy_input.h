// What a workload may reach and resolve and who may connect to it, without selectors: policies as
// they are for it, and the peers that their rules name as sets. What the control plane works out of
// NetworkPolicies and DnsEgressPolicies, sends (portolan/v1/policy.proto), and a sidecar compiles
// and enforces. Of ingress, the peers are who connects and the ports the workload's own.
//
// Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ip.h"
#include "directory/dns_egress_policy.h"
#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan {

// An address that a selector stands for. In a set by the name of a port: with the port that it has
// there; else 0.
struct Peer {
  IpAddress ip;
  uint16_t port = 0;
  friend auto operator<=>(const Peer&, const Peer&) = default;
};
using Peers = std::vector<Peer>;  // sorted, each once

struct PortInput {
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;      // 0: every port; in a set by the name of a port: that of the peer
  uint16_t end_port = 0;  // the last of a range that begins with `port`; 0: no range
  // Of ingress: the container port of the workload that has this name; `port` is then 0.
  std::string name = {};
  friend bool operator==(const PortInput&, const PortInput&) = default;
};

// Any of the peers at any of the ports. No ports: every port of every protocol. No peers: none.
struct RuleInput {
  uint32_t index = 0;                  // its place in the policy's own list of rules, from 0
  bool any_peer = false;               // anybody; the other peers are then none
  std::vector<std::string> peer_sets;  // names of sets
  std::vector<IpBlock> blocks;
  std::vector<NamePattern> names;
  std::vector<PortInput> ports;
  friend bool operator==(const RuleInput&, const RuleInput&) = default;
};

struct PolicyInput {
  // "NetworkPolicy/default/allow-dns", "ClusterNetworkPolicy/apis"; of ingress
  // "NetworkPolicy/default/db/ingress"
  std::string name;
  bool isolates = false;        // what no rule of any policy of the workload allows is denied
  bool isolates_names = false;  // the same of names: they are not resolved
  bool audit = false;  // it neither allows nor denies; what it would have denied is counted
  std::vector<RuleInput> rules;
  friend bool operator==(const PolicyInput&, const PolicyInput&) = default;
};

}  // namespace portolan
