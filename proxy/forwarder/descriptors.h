// How many descriptors the process may have, and how many connections that makes. Called by main.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace portolan::proxy {

// Raises the soft limit of RLIMIT_NOFILE to the hard one; the limit then in force.
absl::StatusOr<uint64_t> RaiseDescriptorLimit();

// Connections that each of `workers` may hold under `descriptors`: two sockets a connection, after
// what DNS, the feed and the admin interface need. At least 1, at most 50,000.
size_t ConnectionsPerWorker(uint64_t descriptors, size_t workers);

}  // namespace portolan::proxy
