// What is wrong with a name, as far as the directory and the Corefile tell: a code for programs and
// a sentence for people.
//
//   no-endpoints              nothing stands behind it
//   none-ready                what does is not ready
//   stale-slice               an EndpointSlice lists a pod that is gone, or an address it has not
//   name-shadowed             the Corefile answers the name otherwise, before `kubernetes` is asked
//   target-port-missing       no ready endpoint has one of its ports: no pod has its targetPort
//   external-name-to-nowhere  an alias of what is not there
//   duplicate-address         another Service has one of its addresses
//
// Pure but for the questions to SidecarDns. The loop's thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "directory/directory.h"
#include "directory/listing.h"
#include "xds/dashboard/sidecar_dns.h"

namespace portolan::xds {

enum class WarningCode : uint8_t {
  kNoEndpoints,
  kNoneReady,
  kStaleSlice,
  kNameShadowed,
  kTargetPortMissing,
  kExternalNameToNowhere,
  kDuplicateAddress,
};
inline constexpr size_t kWarningCodes = 7;

// As many aliases (ExternalName) as the kubernetes plugin follows.
inline constexpr size_t kMostAliases = 8;

std::string_view WarningWord(WarningCode code);
std::optional<WarningCode> FindWarning(std::string_view word);
// For errors: "no-endpoints, none-ready, ..."
std::string WarningWords();

struct NameWarning {
  WarningCode code;
  std::string message;
};

struct WarningInput {
  const Snapshot& snapshot;
  std::string_view cluster_domain;
  EndpointCounts endpoints;
  std::optional<SidecarDns::Shadow> shadow;
  // What StaleEndpoint said, where it has been so for long enough.
  std::string stale = {};
  // Others that have one of its addresses, each "default/other has 10.43.0.7".
  std::vector<std::string> address_claims = {};
};

std::vector<NameWarning> WarningsOf(const Service& service, const WarningInput& input);

// "the slice default/backend-x2x9z lists default/backend-1, which is gone"; empty: none is stale,
// or the snapshot has no pods at all. While a pod ends this is so for a moment: a slice follows it.
std::string StaleEndpoint(const Snapshot& snapshot, const SliceSet* slices);

}  // namespace portolan::xds
