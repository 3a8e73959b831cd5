// The rules by name of the cluster-wide policies of policy.networking.k8s.io: ClusterNetworkPolicy
// (v1alpha2) and AdminNetworkPolicy (v1alpha1).
//
// Of an object those egress rules alone are ours that accept `domainNames`, in its tier Admin: all
// else is enforced by the CNI, or by nobody. A rule of tier Baseline counts for pods that no
// NetworkPolicy isolates, whom an allowance gives nothing: it is none of ours either. What comes of
// that: docs/dns-egress-policy.md.
//
// Sources: https://network-policy-api.sigs.k8s.io/npeps/npep-133-fqdn-egress-selector/, and
// apis/v1alpha1 and apis/v1alpha2 of kubernetes-sigs/network-policy-api, whose validation is done
// again for the rules that are ours. Any thread.
#pragma once

#include <cstddef>
#include <optional>

#include "common/document/value.h"
#include "directory/dns_egress_policy.h"

namespace portolan::xds {

inline constexpr size_t kMostDomainNames = 25;

// Nothing: no rule of it is ours. Errors go to the Field's FieldErrors, and the value is then not
// to be used; what is wrong in rules that are not ours is none.
std::optional<DnsEgressPolicy> ReadClusterNetworkPolicy(const Field& object, const Origin& origin);
std::optional<DnsEgressPolicy> ReadAdminNetworkPolicy(const Field& object, const Origin& origin);

}  // namespace portolan::xds
