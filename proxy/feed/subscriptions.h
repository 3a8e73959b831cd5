// What the feed subscribes to on every stream, in the order of the requests.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "proxy/feed/feed_metrics.h"
#include "xds/api/codec.h"

namespace portolan::proxy {

// Of those that policy_replica.h holds, which says which names are asked for.
inline bool IsPolicyType(std::string_view type_url) {
  return type_url == api::kEgressPolicyType || type_url == api::kPolicyRulesType ||
         type_url == api::kPeerSetType;
}

struct FeedType {
  std::string_view type_url;
  // In metrics.
  std::string_view label;
  // "*": every resource of the type, and the set is complete only once the server said so. Empty:
  // those that are asked for while the feed runs. Otherwise the one resource asked for.
  std::string_view name;

  bool is_wildcard() const { return name == "*"; }
  bool is_on_demand() const { return name.empty(); }
  bool is_policy() const { return IsPolicyType(type_url); }
  // What is held of it must be whole, or "not there" means nothing.
  bool counts_for_sync() const { return is_wildcard() || type_url == api::kEndpointsType; }
};
using FeedTypes = std::array<FeedType, kFeedTypeCount>;

// What a sidecar asks for unless it is told another name.
inline constexpr std::string_view kDefaultProxyConfig = "default";

inline constexpr FeedTypes kFeedTypes{{
    {api::kProxyConfigType, "ProxyConfig", kDefaultProxyConfig},
    {api::kNamespaceType, "Namespace", "*"},
    {api::kServiceType, "Service", "*"},
    {api::kEndpointsType, "Endpoints", "*"},
    {api::kServiceImportType, "ServiceImport", "*"},
    {api::kAddressType, "Address", ""},
    {api::kEgressPolicyType, "EgressPolicy", ""},
    {api::kPolicyRulesType, "PolicyRules", ""},
    {api::kPeerSetType, "PeerSet", ""},
}};
inline constexpr size_t kProxyConfigIndex = 0;
inline constexpr size_t kEndpointsIndex = 3;
inline constexpr size_t kAddressIndex = 5;

// The same with the endpoints of those Services alone that are asked for.
inline constexpr FeedTypes kFeedTypesOnDemand = [] {
  FeedTypes types = kFeedTypes;
  types[kEndpointsIndex].name = "";
  return types;
}();

}  // namespace portolan::proxy
