// How many descriptors the process may have, and how many connections that makes. Connections must
// not take those that questions to upstreams need. Called by main.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace portolan::proxy {

// Raises the soft limit of RLIMIT_NOFILE to the hard one; the limit then in force.
absl::StatusOr<uint64_t> RaiseDescriptorLimit();

// Connections that each of `workers` may carry under `descriptors`: two sockets each, three
// quarters of what upstreams, the feed and the admin interface leave. At least 1, at most 50,000.
size_t ConnectionsPerWorker(uint64_t descriptors, size_t workers);

// Clients that each of `listeners` for DNS over TCP may have: an eighth of the same. At least 1, at
// most 256.
size_t DnsConnectionsPerListener(uint64_t descriptors, size_t listeners);

}  // namespace portolan::proxy
