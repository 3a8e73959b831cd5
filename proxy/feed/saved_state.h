// The feed's state on disk, from which a sidecar starts when no control plane answers.
//
// The file: "PORTOLAN", format version (4 bytes), length of the body (8 bytes), FNV-1a of the body
// (8 bytes), numbers little-endian; then the body, a portolan.v1.SavedState. The checksum is
// against torn and rotten files, not against a writer with intent: who may write the state
// directory may also write the Corefile.
//
// Not saved: who has an address, and that a Service has no endpoints where they are had on demand.
// Either is asked for anew within a round trip, and by the next start it may be otherwise.
//
// For any thread.
#pragma once

#include <google/protobuf/io/zero_copy_stream.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/state.pb.h"
#include "proxy/feed/policy_replica.h"
#include "proxy/feed/replica.h"

namespace portolan::proxy {

inline constexpr uint32_t kStateFormat = 1;
inline constexpr size_t kMaxStateBytes = size_t{256} << 20;

// Of a state that never was in sync: it has no directory, but what is in force of policy and
// configuration.
inline constexpr absl::Time kNeverSynced = absl::UnixEpoch();

// What a file is written from. Shares the replica's content, so that it can be taken on the loop at
// once and encoded on another thread.
struct StateImage {
  Replica::Image replica;
  // What is in force.
  PolicyReplica::Image policy;
  // The ProxyConfig last accepted, as it came.
  std::optional<v1::SavedResource> proxy_config;
  // When the content last was what the control plane had, or kNeverSynced.
  absl::Time synced;
  std::string written_by;
};

// The body. A Service whose endpoints are in transit is saved as it is shown, without versions, so
// that the control plane sends it again.
void EncodeState(const StateImage& image, google::protobuf::io::ZeroCopyOutputStream& body);

// Writes the whole file in the place of `path`, as ReplacingFile does, and holds no more of it in
// memory than 64 KB.
absl::Status WriteState(const StateImage& image, const std::string& path);

// The file around a body, and the body of a file: an error if that is damaged or of another format.
std::string SealState(std::string_view body);
absl::StatusOr<std::string_view> UnsealState(std::string_view file);

struct StateHeader {
  absl::Time synced;  // or kNeverSynced
  std::string written_by;
};

// Reads a whole file and calls `visit` for each resource in it, with the header, which EncodeState
// writes first. An error if the file is damaged, of another format, or `visit` returns one. Bounded
// by the length of `file`.
using StateVisitor = std::function<absl::Status(const StateHeader&, v1::SavedResource)>;
absl::StatusOr<StateHeader> DecodeState(std::string_view file, const StateVisitor& visit);

// What a state file brings to a start.
struct RestoredState {
  StateHeader header;
  // Never null.
  std::unique_ptr<Replica> replica;
  std::unique_ptr<PolicyReplica> policy;
  std::optional<v1::SavedResource> proxy_config;
};

// Decodes and checks everything in `file`. If `reader` is not the program version that wrote it,
// the versions of the resources are left empty. All Services whose endpoints are in it are demanded
// from the replica. Policies are read for `own`: what another pod saved is left out.
absl::StatusOr<RestoredState> RestoreState(std::string_view file, std::string_view reader,
                                           Directory::Slices slices = Directory::Slices::kOfAll,
                                           PolicyReplica::Own own = {});

}  // namespace portolan::proxy
