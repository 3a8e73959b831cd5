// A NetworkPolicy as the Kubernetes API has it: which pods it is for, and what they may be reached
// by and may reach.
//
// Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/ and
// https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/. Values;
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "directory/model.h"

namespace portolan {

struct LabelRequirement {
  enum class Operator : uint8_t { kIn, kNotIn, kExists, kDoesNotExist };
  std::string key;
  Operator op = Operator::kIn;
  std::vector<std::string> values;  // kIn, kNotIn
  friend bool operator==(const LabelRequirement&, const LabelRequirement&) = default;
};

// All of it must hold; an empty one selects everything.
struct ObjectSelector {
  LabelMap match_labels;
  std::vector<LabelRequirement> match_expressions;
  friend bool operator==(const ObjectSelector&, const ObjectSelector&) = default;
};

struct NetworkPolicyPort {
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;      // 0: every port, or the one that `name` names
  uint16_t end_port = 0;  // the last of a range that begins with `port`; 0: no range
  std::string name;       // of a container's port
  friend bool operator==(const NetworkPolicyPort&, const NetworkPolicyPort&) = default;
};

struct IpBlock {
  Cidr cidr;
  std::vector<Cidr> except;
  friend bool operator==(const IpBlock&, const IpBlock&) = default;
};

// Either an IpBlock or selectors: `pods` alone means those of the policy's own namespace,
// `namespaces` alone all pods of those namespaces.
struct NetworkPolicyPeer {
  std::optional<ObjectSelector> pods;
  std::optional<ObjectSelector> namespaces;
  std::optional<IpBlock> block;
  friend bool operator==(const NetworkPolicyPeer&, const NetworkPolicyPeer&) = default;
};

// One of the peers at one of the ports. No peers: anybody. No ports: any.
struct NetworkPolicyRule {
  std::vector<NetworkPolicyPeer> peers;
  std::vector<NetworkPolicyPort> ports;
  friend bool operator==(const NetworkPolicyRule&, const NetworkPolicyRule&) = default;
};

// What none of the rules of any policy allows is denied, for the pods and directions that a policy
// is for.
struct NetworkPolicy {
  ObjectName name;
  ObjectSelector pods;  // of the same namespace
  bool for_ingress = true;
  bool for_egress = false;
  std::vector<NetworkPolicyRule> ingress;
  std::vector<NetworkPolicyRule> egress;
  // Annotation portolan.dev/audit: "true". It neither allows nor denies; what it would deny is
  // counted.
  bool audit = false;
  Origin origin;
};

}  // namespace portolan
