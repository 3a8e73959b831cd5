#include "xds/serving/discovery_stream.h"

#include <utility>

#include "common/handover.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/authentication/grpc_call.h"

namespace portolan::xds {

DiscoveryStream::DiscoveryStream(grpc::CallbackServerContext* context,
                                 std::unique_ptr<Session> session, ServingCounts& counts,
                                 std::function<void(DiscoveryStream*)> on_done)
    : context_(context),
      counts_(counts),
      on_done_(std::move(on_done)),
      state_(State{.session = std::move(session)}) {
  ++counts_.streams;
}

void DiscoveryStream::Start(TokenGate* gate) {
  HandOver(this);
  gate_ = gate;
  if (gate == nullptr) return StartRead(&read_);
  gate->Admit(AuthorizationOf(*context_), [self = weak_from_this()](const auto& client) {
    if (const auto stream = self.lock()) stream->OnVerdict(client);
  });
}

// On the loop of the gate or from within Start: no reaction, so until gRPC is told of an end there
// is none, and it is told with the lock held.
void DiscoveryStream::OnVerdict(const absl::StatusOr<PodIdentity>& client) {
  state_.With([&](State& state) {
    if (state.finished || state.ending.has_value()) return;
    if (!client.ok()) {
      if (gate_->MayLog()) {
        log::warn("{} is not let in: {}", state.session->client().peer, Message(client.status()));
      }
      state.ending = ToGrpc(client.status());
      return Proceed(state);
    }
    state.session->Admit(client->name_space + "/" + client->pod);
    StartRead(&read_);
  });
}

void DiscoveryStream::OnPublish(const ResourceCache::Published& published) {
  state_.With([&](auto& state) {
    if (state.finished) return;
    state.session->OnPublish(published);
    if (state.writing_since.has_value() && !state.done &&
        absl::Now() - *state.writing_since > kStalledAfter) {
      ++counts_.stalled_streams;
      log::warn("{} ({}) takes no response since {}: disconnected", state.session->client().node_id,
                state.session->client().peer,
                absl::FormatDuration(absl::Now() - *state.writing_since));
      context_->TryCancel();
      return;
    }
    Proceed(state);
  });
}

bool DiscoveryStream::ending() const {
  return state_.With([](const State& state) { return state.finished || state.ending.has_value(); });
}

void DiscoveryStream::End(grpc::Status status) {
  state_.With([&](auto& state) {
    if (!state.ending.has_value()) state.ending = std::move(status);
    Proceed(state);
  });
}

ClientStatus DiscoveryStream::Status(size_t most_names) const {
  return state_.With([&](const auto& state) { return state.session->Status(most_names); });
}

void DiscoveryStream::OnReadDone(bool ok) {
  const Reaction reaction(this);
  // The client closed its side, or the stream broke.
  if (!ok) return End(grpc::Status::OK);
  ++counts_.requests;
  const bool go_on = state_.With([&](auto& state) {
    if (state.finished) return false;
    const absl::Status taken = TakeRequest(state);
    if (!taken.ok()) {
      if (absl::IsPermissionDenied(taken) && gate_ != nullptr) gate_->CountWrongPod();
      state.ending = ToGrpc(taken);
      log::warn("{} ({}): {}; stream ended", state.session->client().node_id,
                state.session->client().peer, Message(taken));
    }
    Proceed(state);
    return taken.ok();
  });
  if (go_on) StartRead(&read_);
}

absl::Status DiscoveryStream::TakeRequest(State& state) {
  const ClientStatus& client = state.session->client();
  const bool is_new = client.node_id.empty();
  absl::Status taken = state.session->OnRequest(read_);
  if (absl::IsInvalidArgument(taken)) ++counts_.malformed_requests;
  if (is_new && !client.node_id.empty()) {
    log::info("{} connected from {}", client.node_id, client.peer);
  }
  LogRefusal(*state.session);
  return taken;
}

void DiscoveryStream::LogRefusal(const Session& session) {
  const auto& refusal = session.refusal();
  if (!refusal.has_value()) return;
  ++counts_.nacks;
  if (refusal->why == last_nack_) return;  // a client that refuses the same thing again
  last_nack_ = refusal->why;
  log::warn("{} refused {}: {}", session.client().node_id, Printable(refusal->type_url),
            refusal->why);
}

void DiscoveryStream::Proceed(State& state) {
  if (state.finished || state.writing_since.has_value()) return;
  if (state.ending.has_value()) {
    state.finished = true;
    Finish(*state.ending);
    return;
  }
  auto response = state.session->NextResponse();
  if (!response.has_value()) return;
  write_.Swap(&*response);
  ++counts_.responses;
  counts_.response_bytes += write_.Length();
  state.writing_since = absl::Now();
  StartWrite(&write_);
}

void DiscoveryStream::OnWriteDone(bool ok) {
  const Reaction reaction(this);
  state_.With([&](auto& state) {
    state.writing_since.reset();
    if (!ok && !state.ending.has_value()) {
      state.ending = grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream broke");
    }
    Proceed(state);
  });
}

void DiscoveryStream::OnCancel() {
  const Reaction reaction(this);
  End(grpc::Status::CANCELLED);
}

void DiscoveryStream::OnDone() {
  TakeOver(this);
  state_.With([](auto& state) {
    state.done = true;
    const ClientStatus& client = state.session->client();
    if (!client.node_id.empty()) log::info("{} disconnected from {}", client.node_id, client.peer);
  });
  on_done_(this);
}

}  // namespace portolan::xds
