// A policy of the Kubernetes API in the form that sidecars get: rules without selectors, and the
// sets of peers that they name.
//
// What a policy says is https://kubernetes.io/docs/concepts/services-networking/network-policies/,
// and directory/dns_egress_policy.h. Pure functions; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "directory/directory.h"
#include "directory/dns_egress_policy.h"
#include "directory/network_policy.h"
#include "directory/policy_input.h"
#include "xds/policy/selector.h"

namespace portolan::xds {

// One policy may multiply each of its peers with each named port, and each set costs 8 bytes or 18
// for each of its peers, in the index alone: 40 MB where all have 5,000. Real policies need a few
// dozen. What is beyond, or beyond what a reader takes (xds/api/policy_codec.h), is left out of its
// rules, so not allowed, with a line in the log.
inline constexpr size_t kMostSetsOfPolicy = 1'000;
// What its selectors take up, each as often as it is referred to: one may be as large as an object.
// Without named ports no object of the Kubernetes API comes to so much.
inline constexpr size_t kMostSelectorBytesOfPolicy = 32 << 20;

struct PolicyResource {
  PolicyInput rules;
  PodSelector pods;                           // that it is for
  std::map<std::string, PeerSelector> peers;  // of the sets in its rules, by name
  Origin origin;
};

// What it says of egress, and of ingress. Nothing: it says nothing of that.
std::optional<PolicyResource> ResourceOf(const NetworkPolicy& policy);
std::optional<PolicyResource> IngressResourceOf(const NetworkPolicy& policy);
PolicyResource ResourceOf(const DnsEgressPolicy& policy);
// By the name of its PolicyRules. Nothing: there is none, or it says nothing of that direction.
std::optional<PolicyResource> FindPolicyResource(const Snapshot& snapshot, std::string_view name);

// "NetworkPolicy/default/allow-dns" and "NetworkPolicy/default/db/ingress", of the policy's key in
// a Snapshot. That of a DnsEgressPolicy is its key.
std::string NetworkPolicyRulesName(std::string_view key);
std::string IngressRulesName(std::string_view key);
// One of the latter.
bool IsForIngress(std::string_view rules_name);

}  // namespace portolan::xds
