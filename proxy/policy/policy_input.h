// The egress policies of one pod as the control plane sends them, in our own types: what is
// compiled.
//
// A PolicyInput is a portolan.v1.PolicyRules with its resource name, Peers are the members of a
// portolan.v1.PeerSet (xds/api/portolan/v1/policy.proto). Values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "common/ip.h"
#include "directory/dns_egress_policy.h"
#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan::proxy {

// A member of a peer set.
struct Peer {
  IpAddress ip;
  uint16_t port = 0;  // of a set by port name: the one that the peer has under it; else 0
  friend auto operator<=>(const Peer&, const Peer&) = default;
};
using Peers = std::vector<Peer>;  // sorted, each once

struct PortInput {
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;      // 0: every port; with a set by port name: the peer's
  uint16_t end_port = 0;  // the last of a range that begins with `port`; 0: no range
};

// Any of the peers (anybody, members of sets, blocks, what names led to) at any of the ports.
struct RuleInput {
  uint32_t index = 0;     // its place in the policy's own list, from 0; several may have the same
  bool any_peer = false;  // anybody
  std::vector<std::string> peer_sets = {};
  std::vector<IpBlock> blocks = {};
  std::vector<NamePattern> names = {};
  std::vector<PortInput> ports = {};  // none: every port of every protocol
};

struct PolicyInput {
  std::string name;             // "NetworkPolicy/default/db"
  bool isolates = false;        // what no rule of any policy allows is denied
  bool isolates_names = false;  // a name that no rule of any policy has is not resolved
  bool audit = false;           // neither allows nor denies
  std::vector<RuleInput> rules = {};
};

}  // namespace portolan::proxy
