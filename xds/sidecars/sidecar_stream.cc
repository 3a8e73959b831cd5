#include "xds/sidecars/sidecar_stream.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/handover.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/api/sidecar_limits.h"
#include "xds/authentication/grpc_call.h"
#include "xds/sidecars/report_rules.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxNodeBytes = 512;  // 63 for the namespace, 253 for the pod

bool IsNodeId(std::string_view text) {
  const size_t slash = text.find('/');
  return text.size() <= kMaxNodeBytes && slash != text.npos && slash > 0 &&
         slash + 1 < text.size() && text.find('/', slash + 1) == text.npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

absl::Status Parse(grpc::ByteBuffer bytes, v1::SidecarMessage& message) {
  if (bytes.Length() > api::kMaxSidecarMessageBytes) {
    return absl::ResourceExhaustedError("a message is larger than 1 MB");
  }
  grpc::ProtoBufferReader reader(&bytes);
  if (!reader.status().ok() || !message.ParseFromZeroCopyStream(&reader)) {
    return InvalidArgument("a message cannot be read");
  }
  return absl::OkStatus();
}

}  // namespace

SidecarStream::SidecarStream(Sidecars& sidecars, grpc::CallbackServerContext* context)
    : sidecars_(sidecars), context_(context), peer_(context->peer()) {}

void SidecarStream::Start(TokenGate* gate) {
  HandOver(this);
  gate_ = gate;
  if (gate == nullptr) return StartRead(&read_);
  gate->Admit(AuthorizationOf(*context_), [self = weak_from_this()](const auto& client) {
    if (const auto stream = self.lock()) stream->OnVerdict(client);
  });
}

// As DiscoveryStream::OnVerdict: no reaction, so gRPC is told with the lock held.
void SidecarStream::OnVerdict(const absl::StatusOr<PodIdentity>& client) {
  state_.With([&](State& state) {
    if (state.finished || state.ending.has_value()) return;
    if (!client.ok()) {
      if (gate_->MayLog()) log::warn("{} may not report: {}", peer_, Message(client.status()));
      state.ending = ToGrpc(client.status());
      return Proceed(state);
    }
    state.admitted = client->name_space + "/" + client->pod;
    StartRead(&read_);
  });
}

bool SidecarStream::Ask(const v1::Question& question) {
  return state_.With([&](State& state) {
    if (state.ending.has_value() || state.unanswered.size() >= api::kMaxOpenQuestions) return false;
    v1::ControlMessage message;
    *message.mutable_question() = question;
    const grpc::Slice bytes(message.SerializeAsString());
    state.unanswered.insert(question.id());
    state.waiting.emplace_back(&bytes, 1);
    Proceed(state);
    return true;
  });
}

ReportedSidecar SidecarStream::Status() const {
  return state_.With([](const State& state) { return state.sidecar; });
}

void SidecarStream::End(grpc::Status status) {
  state_.With([&](State& state) {
    if (!state.ending.has_value()) state.ending = std::move(status);
    Proceed(state);
  });
}

void SidecarStream::OnReadDone(bool ok) {
  const Reaction reaction(this);
  if (!ok) return End(grpc::Status::OK);
  const absl::Status taken = Take(read_);
  if (taken.ok()) return StartRead(&read_);
  ++sidecars_.broken_rules_;
  log::warn("{} ({}) reports: {}; stream ended", Status().node_id, peer_, Message(taken));
  End(ToGrpc(taken));
}

absl::Status SidecarStream::Take(const grpc::ByteBuffer& bytes) {
  v1::SidecarMessage message;
  if (absl::Status status = Parse(bytes, message); !status.ok()) return status;
  const bool greeted = !Status().node_id.empty();
  if (greeted == message.has_hello()) {
    return InvalidArgument("the first message, and no other, has to be a hello");
  }
  switch (message.kind_case()) {
    case v1::SidecarMessage::kHello:
      return TakeHello(message.hello());
    case v1::SidecarMessage::kReport:
      return TakeReport(*message.mutable_report());
    case v1::SidecarMessage::kAnswer:
      return TakeAnswer(message.answer());
    case v1::SidecarMessage::KIND_NOT_SET:
      break;
  }
  return absl::OkStatus();  // of a newer sidecar
}

absl::Status SidecarStream::TakeHello(const v1::Hello& hello) {
  if (!IsNodeId(hello.node())) return InvalidArgument("the hello's node is not NAMESPACE/POD");
  absl::Status taken = state_.With([&](State& state) {
    if (state.admitted.has_value() && *state.admitted != hello.node()) {
      gate_->CountWrongPod();
      return absl::PermissionDeniedError(
          fmt::format("the hello is '{}', but the token is {}'s", hello.node(), *state.admitted));
    }
    state.sidecar.node_id = hello.node();
    state.sidecar.started = absl::FromUnixMillis(hello.started_unix_ms());
    return absl::OkStatus();
  });
  if (!taken.ok()) return taken;
  sidecars_.OnHello(*this, hello.node());
  return absl::OkStatus();
}

absl::Status SidecarStream::TakeReport(v1::SidecarReport& report) {
  if (absl::Status status = CheckReport(report); !status.ok()) return status;
  report.DiscardUnknownFields();
  const ReportedSidecar now = state_.With([&](State& state) {
    ReportedSidecar& sidecar = state.sidecar;
    if (sidecar.report != nullptr) KeepAbsentParts(*sidecar.report, report);
    sidecar.previous_reported = sidecar.reported;
    sidecar.previous = std::move(sidecar.report);
    sidecar.reported = absl::Now();
    sidecar.report = std::make_shared<const v1::SidecarReport>(std::move(report));
    return sidecar;
  });
  sidecars_.OnReport(now);
  return absl::OkStatus();
}

absl::Status SidecarStream::TakeAnswer(const v1::Answer& answer) {
  // What is refused stays unanswered: who asked is told when the stream has ended.
  if (absl::Status status = CheckAnswer(answer.json()); !status.ok()) return status;
  const bool asked =
      state_.With([&](State& state) { return state.unanswered.erase(answer.id()) > 0; });
  if (!asked) return InvalidArgument("an answer to nothing that was asked: id {}", answer.id());
  sidecars_.OnAnswer(answer);
  return absl::OkStatus();
}

void SidecarStream::Proceed(State& state) {
  if (state.finished || state.writing) return;
  if (state.ending.has_value()) {
    state.finished = true;
    return Finish(*state.ending);
  }
  if (state.waiting.empty()) return;
  write_.Swap(&state.waiting.front());
  state.waiting.pop_front();
  state.writing = true;
  StartWrite(&write_);
}

void SidecarStream::OnWriteDone(bool ok) {
  const Reaction reaction(this);
  state_.With([&](State& state) {
    state.writing = false;
    if (!ok && !state.ending.has_value()) {
      state.ending = grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream broke");
    }
    Proceed(state);
  });
}

void SidecarStream::OnCancel() {
  const Reaction reaction(this);
  End(grpc::Status::CANCELLED);
}

void SidecarStream::OnDone() {
  TakeOver(this);
  const auto unanswered = state_.With([](State& state) {
    return std::vector<uint64_t>(state.unanswered.begin(), state.unanswered.end());
  });
  sidecars_.OnDone(*this, unanswered);
}

}  // namespace portolan::xds
