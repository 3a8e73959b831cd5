// What a snapshot holds, as JSON for people and their tools: the control plane's API and the
// sidecar's admin pages show the same thing in the same words.
//
// Any thread. Field names follow the Kubernetes API where it has one for the same thing; counts of
// endpoints are of pods (or addresses, where there is no pod), so that a dual-stack Service or an
// endpoint that is moving between slices counts once. Endpoints that the snapshot does not hold are
// null, not none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "directory/directory.h"

namespace portolan {

inline constexpr size_t kDefaultPageSize = 500;
inline constexpr size_t kMaxPageSize = 5000;

// The page size that `text` asks for: the default if it is empty, nothing if it is not a number
// from 1 to kMaxPageSize.
std::optional<size_t> ParsePageSize(std::string_view text);

struct EndpointCounts {
  size_t ready = 0;
  size_t serving = 0;
  size_t terminating = 0;
  friend bool operator==(const EndpointCounts&, const EndpointCounts&) = default;
};

// `slices` may be null: none.
EndpointCounts CountEndpoints(const SliceSet* slices);

struct ServiceQuery {
  std::string ns;      // empty: all
  std::string search;  // part of the DNS name or external name, any case, or of an address
  ObjectName after;    // where the page before ended; empty: from the start
  size_t limit = kDefaultPageSize;
};

struct ServicePage {
  std::vector<const Service*> services;  // by namespace, then name; valid as long as the snapshot
  bool more = false;
};

ServicePage ListServices(const Snapshot& snapshot, const ServiceQuery& query,
                         std::string_view cluster_domain);

// "backend.default.svc.cluster.local"
std::string DnsName(const ObjectName& service, std::string_view cluster_domain);

// The labels of a name in front of "svc.CLUSTER_DOMAIN", in lower case: {"0", "backend", "default"}
// of "0.backend.default.svc.cluster.local", with or without a final dot. Nothing for other names.
std::vector<std::string> LabelsBelowSvc(std::string_view name, std::string_view cluster_domain);

// "default/backend" of that name, be there such a Service or not; empty where there is no label for
// one.
std::string ServiceKeyOf(std::string_view name, std::string_view cluster_domain);

// A line of a listing: {"namespace", "name", "dnsName", "type", "headless", "clusterIPs",
// "externalName", "ports", "endpoints": {"ready", "serving", "terminating"}}.
nlohmann::json ServiceJson(const Snapshot& snapshot, const Service& service,
                           std::string_view cluster_domain);

// The above, the rest of the Service, and its "endpointSlices" in full.
nlohmann::json ServiceDetailJson(const Snapshot& snapshot, const Service& service,
                                 std::string_view cluster_domain);

// [{"name", "addressType", "ports", "endpoints": [...]}]; `slices` may be null: none.
nlohmann::json SlicesJson(const SliceSet* slices);

// "TCP", "UDP", "SCTP"
std::string_view ProtocolWord(Protocol protocol);

// "2026-11-23T03:45:48.123Z", null for a time that was not set.
nlohmann::json TimeJson(absl::Time time);

}  // namespace portolan
