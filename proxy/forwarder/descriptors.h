// How many descriptors the process may have, and how many connections that makes. Connections must
// not take those that questions to upstreams need. Called by main.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace portolan::proxy {

// Raises the soft limit of RLIMIT_NOFILE to the hard one; the limit then in force.
absl::StatusOr<uint64_t> RaiseDescriptorLimit();

// Connections that each of `workers` may carry under `descriptors`: two sockets each, three
// quarters of what upstreams, the feed and the admin interface leave. At least 1, at most 50,000.
size_t ConnectionsPerWorker(uint64_t descriptors, size_t workers);

// What a sidecar is to carry. For the log, where `descriptors` are too few for that: how many there
// are, how many connections they allow and how many would do. Empty if they are enough.
inline constexpr size_t kConnectionsWanted = 50'000;
std::string DescriptorShortage(uint64_t descriptors, size_t workers);

// UDP flows that each of `workers` may have open: one socket each, a sixteenth of the same. At
// least 1, at most `most`.
size_t UdpFlowsPerWorker(uint64_t descriptors, size_t workers, size_t most);

// Clients that each of `listeners` for DNS over TCP may have: an eighth of the same. At least 1, at
// most 256.
size_t DnsConnectionsPerListener(uint64_t descriptors, size_t listeners);

}  // namespace portolan::proxy
