// What the control plane knows of each sidecar that is connected: plain values for the API, the
// dashboard and portolanctl proxy-status.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace portolan::xds {

struct TypeStatus {
  std::string type_url;
  bool wildcard = false;
  uint64_t subscribed_names = 0;
  // Directory generations; sent == acknowledged: the client has all there is.
  uint64_t sent_generation = 0;
  uint64_t acknowledged_generation = 0;
  absl::Time last_sent;
  absl::Time last_acknowledged;
  // How old the oldest change is that the client has not acknowledged; zero: it has all.
  absl::Duration lag;
  // From the arrival of the change that it acknowledged last until it did. Zero: none yet.
  absl::Duration last_propagation;
  // The same over the last changes (RecentTimes::kMost of them): the median, and what 99 % of them
  // took at most. Zero: none yet.
  absl::Duration propagation_p50;
  absl::Duration propagation_p99;
  uint64_t nacks = 0;
  // error_detail.message of the last NACK; empty once a complete update was acknowledged after it.
  std::string last_nack;
  // Some of the names, sorted, where they were asked for.
  std::vector<std::string> names;
};

enum class SyncState : uint8_t {
  kNotSent,  // there was nothing to send so far
  kSynced,   // the client has acknowledged what was sent
  kStale,    // it has not yet
  kRefused   // it refused the last thing sent
};

inline SyncState StateOf(const TypeStatus& status) {
  if (!status.last_nack.empty()) return SyncState::kRefused;
  if (status.last_sent == absl::Time()) return SyncState::kNotSent;
  return status.sent_generation == status.acknowledged_generation ? SyncState::kSynced
                                                                  : SyncState::kStale;
}

struct ClientStatus {
  std::string node_id;  // NAMESPACE/POD as the client's Node.id says
  std::string version;  // Node.user_agent_version
  std::string peer;     // as gRPC prints it, "ipv4:10.42.0.7:40112"
  absl::Time connected;
  std::vector<TypeStatus> types;
};

}  // namespace portolan::xds
