#include "proxy/forwarder/descriptors.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr uint64_t kForTheRest = 256;

uint64_t ForConnections(uint64_t descriptors) {
  return descriptors > kForTheRest ? descriptors - kForTheRest : 0;
}

}  // namespace

absl::StatusOr<uint64_t> RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError(errno, "getrlimit RLIMIT_NOFILE");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError(errno, "setrlimit RLIMIT_NOFILE");
  return limit.rlim_cur;
}

size_t ConnectionsPerWorker(uint64_t descriptors, size_t workers) {
  const uint64_t share = ForConnections(descriptors) * 3 / 4 / 2 / std::max<size_t>(workers, 1);
  return static_cast<size_t>(std::clamp<uint64_t>(share, 1, 50'000));
}

std::string DescriptorShortage(uint64_t descriptors, size_t workers) {
  const size_t allowed = ConnectionsPerWorker(descriptors, workers) * std::max<size_t>(workers, 1);
  // The inverse of ConnectionsPerWorker.
  constexpr uint64_t kEnough = kForTheRest + (kConnectionsWanted * 2 * 4 + 2) / 3;
  if (allowed >= kConnectionsWanted || descriptors >= kEnough) return {};
  return fmt::format(
      "the hard limit of {} descriptors allows {} connections; {} of them need {} (ulimit -Hn)",
      descriptors, allowed, kConnectionsWanted, kEnough);
}

size_t UdpFlowsPerWorker(uint64_t descriptors, size_t workers, size_t most) {
  const uint64_t share = ForConnections(descriptors) / 16 / std::max<size_t>(workers, 1);
  return static_cast<size_t>(std::clamp<uint64_t>(share, 1, std::max<size_t>(most, 1)));
}

size_t DnsConnectionsPerListener(uint64_t descriptors, size_t listeners) {
  const uint64_t share = ForConnections(descriptors) / 8 / std::max<size_t>(listeners, 1);
  return static_cast<size_t>(std::clamp<uint64_t>(share, 1, 256));
}

}  // namespace portolan::proxy
