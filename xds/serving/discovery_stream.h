// One stream of a client: a Session behind gRPC's callback API.
//
// gRPC calls the reactions on threads of its own and the server calls OnPublish from another; the
// state they share is behind a lock. At most one write is outstanding, and the next response is
// composed only when it is done.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/guarded.h"
#include "xds/authentication/token_gate.h"
#include "xds/serving/session.h"

namespace portolan::xds {

// Of all streams of a server together.
struct ServingCounts {
  std::atomic<uint64_t> streams{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> malformed_requests{0};
  std::atomic<uint64_t> nacks{0};
  std::atomic<uint64_t> responses{0};
  std::atomic<uint64_t> response_bytes{0};
  std::atomic<uint64_t> stalled_streams{0};
};

class DiscoveryStream : public grpc::ServerGenericBidiReactor,
                        public std::enable_shared_from_this<DiscoveryStream> {
 public:
  // A client that has not taken a response for this long is disconnected at the next change, so
  // that what is kept for it has an end.
  static constexpr absl::Duration kStalledAfter = absl::Minutes(1);

  // `on_done` is called once, as gRPC's last reaction; the stream may be destroyed in it.
  DiscoveryStream(grpc::CallbackServerContext* context, std::unique_ptr<Session> session,
                  ServingCounts& counts, std::function<void(DiscoveryStream*)> on_done);

  // Once, when the server knows the stream. Nothing is read before `gate` lets the client in; null:
  // all are let in. The gate outlives the stream.
  void Start(TokenGate* gate);

  // Any thread.
  void OnPublish(const ResourceCache::Published& published);
  void End(grpc::Status status);
  // End was called, or the client or gRPC ended it.
  bool ending() const;
  ClientStatus Status(size_t most_names) const;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct State {
    std::unique_ptr<Session> session;
    std::optional<absl::Time> writing_since = std::nullopt;  // of the outstanding write
    std::optional<grpc::Status> ending = std::nullopt;
    bool finished = false;
    bool done = false;
  };

  void OnVerdict(const absl::StatusOr<PodIdentity>& client);
  absl::Status TakeRequest(State& state);
  // Starts what is to be done next: the end, a write, or nothing.
  void Proceed(State& state);
  void LogRefusal(const Session& session);

  grpc::CallbackServerContext* const context_;
  TokenGate* gate_ = nullptr;
  ServingCounts& counts_;
  const std::function<void(DiscoveryStream*)> on_done_;
  Guarded<State> state_;
  grpc::ByteBuffer read_;   // the outstanding read's
  grpc::ByteBuffer write_;  // the outstanding write's
  std::string last_nack_;   // what was logged last; only the reading reaction touches it
};

}  // namespace portolan::xds
