// Between the messages of portolan/v1/policy.proto and policies as values, both ways.
//
// What comes in was written by another program, so everything a reader of the values relies on is
// checked here and nowhere else: names have their shape, addresses 4 or 16 bytes, blocks no bits
// beyond their prefix, ports 16 bits, members of a set come in order and each once, and nothing is
// more than the limits below. Pure functions; any thread. Errors name the resource and the field.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "directory/policy_input.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/policy.pb.h"

namespace portolan::api {

// More than objects of the Kubernetes API, which are below 1.5 MB, or clusters come to; against
// messages of few bytes that take up much memory. A sender stays below them: what a policy has
// beyond them is left out (xds/policy/policy_resources.h). But for the first: no policy may be left
// out, so a pod that has more keeps those it had.
inline constexpr int kMaxPoliciesOfPod = 10'000;
inline constexpr int kMaxNodeAddresses = 64;
inline constexpr int kMaxPortsOfPod = 50'000;
inline constexpr int kMaxRulesOfPolicy = 50'000;
// Of peer sets, blocks, holes in blocks, names, ports: each, of all rules of a policy.
inline constexpr size_t kMaxPartsOfPolicy = 200'000;
inline constexpr size_t kMaxPeersOfSet = 500'000;  // also of each half of a difference
inline constexpr size_t kMaxDescribesBytes = 1024;

// Which policies are for a pod: names of PolicyRules, sorted, each once.
struct EgressPolicy {
  std::vector<std::string> policies;  // for what it may reach; none: everything
  std::vector<IpAddress> node_addresses;
  std::vector<std::string> ingress = {};  // for who may connect to it; none: anybody
  // That rules of ingress may name; none without such rules.
  std::vector<ContainerPort> ports = {};
  friend bool operator==(const EgressPolicy&, const EgressPolicy&) = default;
};

// A whole set of peers, or a difference between two versions of it.
struct PeerSet {
  std::string describes;  // for people; of a whole set alone
  std::string base;       // the version that this is the difference from; empty: this is the whole
  Peers added;            // of a whole set: all
  Peers removed;          // of a whole set: none

  bool is_whole() const { return base.empty(); }
};

// "default/frontend-1"
bool IsEgressPolicyName(std::string_view name);
// "NetworkPolicy/default/allow-dns", "ClusterNetworkPolicy/apis", or of ingress; a kind we do not
// know is one.
bool IsPolicyRulesName(std::string_view name);
// "NetworkPolicy/default/db/ingress"; one named "ingress" is none.
bool IsIngressRulesName(std::string_view name);
// "00c0ffee00c0ffee": 16 hexadecimal digits, in lower case.
bool IsPeerSetName(std::string_view name);

absl::StatusOr<EgressPolicy> ParseEgressPolicy(
    const envoy::service::discovery::v3::Resource& resource);
absl::StatusOr<PolicyInput> ParsePolicyRules(
    const envoy::service::discovery::v3::Resource& resource);
absl::StatusOr<PeerSet> ParsePeerSet(const envoy::service::discovery::v3::Resource& resource);

v1::EgressPolicy ToProto(const EgressPolicy& policy);
// Without the name, which is the resource's.
v1::PolicyRules ToProto(const PolicyInput& policy);
// A longer description is cut at kMaxDescribesBytes.
v1::PeerSet ToProto(const PeerSet& set);
// A whole set, without a copy of it.
v1::PeerSet ToProto(std::string_view describes, const Peers& peers);

}  // namespace portolan::api
