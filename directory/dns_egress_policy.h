// An egress policy by DNS name: which names pods may resolve and at which ports they may then reach
// what those lead to.
//
// From a DNSEgressPolicy (manifests/base/crds), or from the rules with `domainNames` of a
// ClusterNetworkPolicy or AdminNetworkPolicy of policy.networking.k8s.io,
// https://network-policy-api.sigs.k8s.io/npeps/npep-133-fqdn-egress-selector/. Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan {

// In lower case without the final dot, no escapes.
struct NamePattern {
  std::string name;
  // "*.": every name of one or more labels below `name`, which itself is none of them.
  bool below = false;

  std::string ToString() const { return below ? "*." + name : name; }
  friend auto operator<=>(const NamePattern&, const NamePattern&) = default;
};

// Any of the names at any of the ports. No ports: every one.
struct DnsEgressRule {
  std::vector<NamePattern> names;
  std::vector<NetworkPolicyPort> ports;  // without names of ports
  // Its place in the object's list, from 0.
  uint32_t index = 0;
  friend bool operator==(const DnsEgressRule&, const DnsEgressRule&) = default;
};

struct DnsEgressPolicy {
  enum class Kind : uint8_t { kDnsEgressPolicy, kClusterNetworkPolicy, kAdminNetworkPolicy };

  Kind kind = Kind::kDnsEgressPolicy;
  ObjectName name;                 // of the cluster-wide kinds without namespace
  ObjectSelector pods = {};        // of the same namespace, or of `namespaces`
  ObjectSelector namespaces = {};  // of the cluster-wide kinds alone
  // What no rule of any policy allows is denied, and names that none allows are not resolved. Never
  // of the cluster-wide kinds: their other rules are not ours to enforce.
  bool default_deny = false;
  bool audit = false;  // nothing is allowed or denied by it, but what it would deny is counted
  std::vector<DnsEgressRule> rules = {};
  int64_t api_generation = 0;  // metadata.generation, for the conditions that are written back
  Origin origin = {};

  // "DNSEgressPolicy/default/apis", "ClusterNetworkPolicy/apis": its key in a Snapshot.
  std::string Key() const;
};

}  // namespace portolan
