#include "xds/dashboard/name_warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "directory/listing.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/wire/name.h"
#include "xds/dashboard/name_records.h"

namespace portolan::xds {
namespace {

constexpr std::array<std::string_view, kWarningCodes> kWords = {
    "no-endpoints",     "none-ready",          "stale-slice",
    "name-shadowed",    "target-port-missing", "external-name-to-nowhere",
    "duplicate-address"};

std::string_view Word(Protocol protocol) {
  if (protocol == Protocol::kUdp) return "UDP";
  return protocol == Protocol::kTcp ? "TCP" : "SCTP";
}

bool HasReady(const EndpointSlice& slice) {
  return std::any_of(slice.endpoints.begin(), slice.endpoints.end(),
                     [](const Endpoint& endpoint) { return endpoint.conditions.ready; });
}

bool IsReached(const ServicePort& port, const SliceSet& slices) {
  return std::any_of(slices.begin(), slices.end(), [&](const auto& entry) {
    const EndpointSlice& slice = *entry.second;
    return HasReady(slice) &&
           std::any_of(slice.ports.begin(), slice.ports.end(), [&](const EndpointPort& one) {
             return one.name == port.name && one.protocol == port.protocol;
           });
  });
}

std::string PortText(const ServicePort& port) {
  const std::string number = fmt::format("{}/{}", port.port, Word(port.protocol));
  return port.name.empty() ? number : fmt::format("{} ({})", port.name, number);
}

// Empty: the alias leads somewhere, as far as is known here.
std::string Nowhere(const Service& service, const WarningInput& input) {
  const Service* at = &service;
  for (size_t i = 0; i < kMostAliases; ++i) {
    const std::string& target = at->extras->external_name;
    if (target.empty() || !dns::wire::NameToWire(target).ok()) {
      return fmt::format("externalName '{}' is no name", target);
    }
    if (dns::IsIpv4Text(target)) {
      return fmt::format("externalName {} is an address, and so no name to DNS", target);
    }
    const std::string key = ServiceKeyOf(target, input.cluster_domain);
    if (key.empty()) return {};  // outside
    at = input.snapshot.FindService(key);
    if (at == nullptr)
      return fmt::format("it leads to {}, and there is no Service {}", target, key);
    if (at->type != ServiceType::kExternalName) return {};
  }
  return "it leads round in a circle, or through more aliases than are followed";
}

std::string ShadowText(const SidecarDns::Shadow& shadow) {
  if (shadow.by.empty()) {
    return "the Corefile's server block for it has no kubernetes: another server is asked";
  }
  if (!shadow.renamed.empty()) return fmt::format("rewrite turns it into {}", shadow.renamed);
  return fmt::format("the Corefile's {} answers it before kubernetes is asked", shadow.by);
}

void WarnOfEndpoints(const Service& service, const WarningInput& input,
                     std::vector<NameWarning>& warnings) {
  const SliceSet* slices = input.snapshot.FindSlices(service.name.ToString());
  size_t listed = 0;
  if (slices != nullptr) {
    for (const auto& [name, slice] : *slices) listed += slice->endpoints.size();
  }
  if (listed == 0) {
    warnings.push_back({WarningCode::kNoEndpoints, "it has no endpoints"});
  } else if (input.endpoints.ready == 0) {
    warnings.push_back({WarningCode::kNoneReady, "none of its endpoints is ready"});
  } else {
    for (const ServicePort& port : service.ports) {
      if (IsReached(port, *slices)) continue;
      warnings.push_back(
          {WarningCode::kTargetPortMissing,
           fmt::format("no ready endpoint has its port {}: no pod has a container port of that "
                       "targetPort's name",
                       PortText(port))});
    }
  }
  if (!input.stale.empty()) warnings.push_back({WarningCode::kStaleSlice, input.stale});
}

}  // namespace

std::string_view WarningWord(WarningCode code) { return kWords[static_cast<size_t>(code)]; }

std::optional<WarningCode> FindWarning(std::string_view word) {
  const auto found = std::find(kWords.begin(), kWords.end(), word);
  if (found == kWords.end()) return std::nullopt;
  return static_cast<WarningCode>(found - kWords.begin());
}

std::string WarningWords() { return fmt::format("{}", fmt::join(kWords, ", ")); }

std::vector<NameWarning> WarningsOf(const Service& service, const WarningInput& input) {
  std::vector<NameWarning> warnings;
  if (service.type == ServiceType::kExternalName) {
    const std::string nowhere = Nowhere(service, input);
    if (!nowhere.empty()) warnings.push_back({WarningCode::kExternalNameToNowhere, nowhere});
  } else {
    WarnOfEndpoints(service, input, warnings);
  }
  if (input.shadow) warnings.push_back({WarningCode::kNameShadowed, ShadowText(*input.shadow)});
  for (const std::string& claim : input.address_claims) {
    warnings.push_back({WarningCode::kDuplicateAddress, claim + " as well"});
  }
  return warnings;
}

std::string StaleEndpoint(const Snapshot& snapshot, const SliceSet* slices) {
  if (slices == nullptr || snapshot.pod_count() == 0) return {};
  for (const auto& named : *slices) {
    const EndpointSlice& slice = *named.second;
    for (const Endpoint& endpoint : slice.endpoints) {
      if (endpoint.pod.name.empty() || endpoint.addresses.empty()) continue;
      const std::string pod_name = endpoint.pod.ToString();
      const Pod* pod = snapshot.FindPod(pod_name);
      const auto says = [&](std::string_view what) {
        return fmt::format("the slice {} lists {}, which {}", slice.name.ToString(), pod_name,
                           what);
      };
      if (pod == nullptr) return says("is gone");
      if (pod->finished) return says("has finished");
      const IpAddress& address = endpoint.addresses.front();
      const bool has_it = std::find(pod->ips.begin(), pod->ips.end(), address) != pod->ips.end();
      if (!has_it) return says("does not have the address " + address.ToString());
    }
  }
  return {};
}

}  // namespace portolan::xds
