// What `kubernetes` is about to do with a question, in words.

#include <fmt/format.h>

#include <string>

#include <nlohmann/json.hpp>

#include "dns/plugins/kubernetes.h"

namespace portolan::dns {
namespace {

using nlohmann::json;
using Kind = ClusterName::Kind;

std::string_view TrustWord(FeedTrust trust) {
  switch (trust) {
    case FeedTrust::kNone:
      return "nothing yet";
    case FeedTrust::kStale:
      return "not in sync";
    case FeedTrust::kInSync:
      return "in sync";
  }
  return "";
}

std::string SaysOf(const ClusterName& found, std::string_view owner) {
  switch (found.kind) {
    case Kind::kUnknown:
      return {};
    case Kind::kEmpty:
      return "the name is there and has no addresses of its own";
    case Kind::kClusterIps:
      return fmt::format("the addresses of {}", owner);
    case Kind::kEndpoints:
      return fmt::format("the endpoints of {}", owner);
    case Kind::kExternalName:
      return fmt::format("{} is an ExternalName: {}", owner, found.service->extras->external_name);
    case Kind::kPod:
      return fmt::format("the pod's own address {}", found.address.ToString());
    case Kind::kUnverified:
      return fmt::format("asks the control plane who has {}", found.address.ToString());
    case Kind::kNameServer:
      return "the zone's own name server";
    case Kind::kVersion:
      return "the version of the DNS specification";
    case Kind::kNotHeld:
      return fmt::format("waits for the endpoints of {}", owner);
  }
  return {};
}

}  // namespace

std::string_view Kubernetes::WhyUnknown(const wire::Query& query) const {
  if (data().trust == FeedTrust::kNone) {
    return "nothing is known of the cluster yet: passed on to the cluster DNS";
  }
  if (data().trust == FeedTrust::kStale) {
    return "not known, and the feed is not in sync: passed on to the cluster DNS";
  }
  return FallsThrough(query) ? "not known: fallthrough" : "does not exist, as the feed is in sync";
}

json Kubernetes::Explain(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  const ServedZone* zone = ZoneOf(query);
  if (zone == nullptr) return nullptr;
  json out = {{"servedZone", zone->zone.text}, {"feed", TrustWord(data().trust)}};
  if (zone->holds == ServedZone::Holds::kAddresses) {
    IpAddress address;
    out["says"] = ParseReverseName(LabelledName(query), &address)
                      ? fmt::format("who has {}, if it is the cluster's", address.ToString())
                      : "a name of a reverse zone";
    return out;
  }
  const ClusterName found = FindClusterName(LabelledName(query), *zone, config_, data());
  std::string owner;
  if (found.service != nullptr) owner = found.service->name.ToString();
  if (found.owner != nullptr) owner = found.owner->ToString();
  const bool imported = zone->holds == ServedZone::Holds::kServiceImports;
  if (!owner.empty()) out[imported ? "serviceImport" : "service"] = owner;
  const std::string says =
      SaysOf(found, fmt::format("{} {}", imported ? "ServiceImport" : "Service", owner));
  out["says"] = says.empty() ? std::string(WhyUnknown(query)) : says;
  return out;
}

}  // namespace portolan::dns
