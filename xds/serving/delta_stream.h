// One delta stream: a DeltaSession behind gRPC's callback API.
//
// gRPC calls the reactions on threads of its own and the server calls OnPublish from another; the
// state they share is behind a lock. At most one write is outstanding, and the next response is
// composed only when it is done.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/guarded.h"
#include "xds/serving/delta_session.h"

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

class DeltaStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // A client that has not taken a response for this long is disconnected at the next change, so
  // that what is kept for it has an end. It comes back with initial_resource_versions.
  static constexpr absl::Duration kStalledAfter = absl::Minutes(1);

  // `on_done` is called once, as gRPC's last reaction; the stream may be destroyed in it.
  DeltaStream(grpc::CallbackServerContext* context, std::shared_ptr<const ResourceSet> set,
              std::string identifier, ServingCounts& counts,
              std::function<void(DeltaStream*)> on_done);

  // Once, when the server knows the stream.
  void Start();

  // Any thread.
  void OnPublish(const std::shared_ptr<const ResourceSet>& set, const ChangedResources& changed);
  void End(grpc::Status status);
  ClientStatus Status() const;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct State {
    State(std::shared_ptr<const ResourceSet> set, std::string peer, std::string identifier)
        : session(std::move(set), std::move(peer), std::move(identifier)) {}

    DeltaSession session;
    std::optional<absl::Time> writing_since;  // of the outstanding write
    std::optional<grpc::Status> ending;
    bool finished = false;
    bool done = false;
  };

  absl::Status TakeRequest(State& state);
  // Starts what is to be done next: the end, a write, or nothing.
  void Proceed(State& state);
  void LogAnswers(const DeltaSession::Request& request, const ClientStatus& client);

  grpc::CallbackServerContext* const context_;
  ServingCounts& counts_;
  const std::function<void(DeltaStream*)> on_done_;
  Guarded<std::unique_ptr<State>> state_;
  grpc::ByteBuffer read_;   // the outstanding read's
  grpc::ByteBuffer write_;  // the outstanding write's
  std::string last_nack_;   // what was logged last; only the reading reaction touches it
};

}  // namespace portolan::xds
