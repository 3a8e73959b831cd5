// One sidecar's stream: takes apart what it sends, and sends it questions.
//
// gRPC calls the reactions on threads of its own; the state they share with the loop is behind a
// lock.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/guarded.h"
#include "xds/sidecars/sidecars.h"

namespace portolan::xds {

class SidecarStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                      public std::enable_shared_from_this<SidecarStream> {
 public:
  SidecarStream(Sidecars& sidecars, grpc::CallbackServerContext* context);

  // Once, when it is known who to tell. Nothing is read before `gate` lets the sidecar in; null:
  // all are let in. The gate outlives the stream.
  void Start(TokenGate* gate);

  // Any thread. False: it has as many unanswered ones as it may.
  bool Ask(const v1::Question& question);
  ReportedSidecar Status() const;
  void End(grpc::Status status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct State {
    ReportedSidecar sidecar;              // without a node before the hello
    std::optional<std::string> admitted;  // the node that the token is for
    absl::flat_hash_set<uint64_t> unanswered;
    std::deque<grpc::ByteBuffer> waiting;  // questions; at most kMaxOpenQuestions
    bool writing = false;
    std::optional<grpc::Status> ending;
    bool finished = false;
  };

  void OnVerdict(const absl::StatusOr<PodIdentity>& client);
  absl::Status Take(const grpc::ByteBuffer& bytes);
  absl::Status TakeHello(const v1::Hello& hello);
  absl::Status TakeReport(v1::SidecarReport& report);
  absl::Status TakeAnswer(const v1::Answer& answer);
  void Proceed(State& state);

  Sidecars& sidecars_;
  grpc::CallbackServerContext* const context_;
  const std::string peer_;
  TokenGate* gate_ = nullptr;
  Guarded<State> state_;
  grpc::ByteBuffer read_;   // the outstanding read's
  grpc::ByteBuffer write_;  // the outstanding write's
};

}  // namespace portolan::xds
