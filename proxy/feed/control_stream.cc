#include "proxy/feed/control_stream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_callback.h>

#include <array>
#include <semaphore>
#include <string_view>
#include <utility>

#include "common/handover.h"
#include "common/status.h"
#include "xds/api/grpc_process.h"

namespace portolan::proxy {
namespace {

template <typename Request>
constexpr char kMethod[] = "";
template <>
constexpr char kMethod<envoy::service::discovery::v3::DeltaDiscoveryRequest>[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
template <>
constexpr char kMethod<v1::SidecarMessage>[] = "/portolan.v1.Sidecars/Connect";

// For the connection to be made. Another address may do better.
constexpr int kConnectTimeoutMs = 5000;
constexpr int kKeepaliveTimeMs = 3000;
constexpr int kKeepaliveTimeoutMs = 5000;

// What gRPC says of a failed TLS handshake names no setting; the rest is clear.
constexpr std::array<std::array<std::string_view, 2>, 3> kHints = {{
    {"certificate verify failed",
     "its certificate has expired or is signed by none of the CAs in --control-ca"},
    {"is not in peer certificate", "--control-server-name says what its certificate is for"},
    {"wrong version number", "what it speaks is not TLS"},
}};

std::string Explain(const grpc::Status& status) {
  if (status.ok()) return "the control plane closed the stream";
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) return "it has no such service";
  std::string reason = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
      status.error_code() == grpc::StatusCode::PERMISSION_DENIED) {
    return fmt::format("it does not let us in: {} (--control-token)", reason);
  }
  for (const auto& [said, hint] : kHints) {
    if (reason.find(said) != std::string::npos) return fmt::format("{} ({})", reason, hint);
  }
  return reason;
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeControlChannel(const std::string& address,
                                                  const Transport& transport) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(api::kMaxResponseBytes);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, api::kStreamWindowBytes);
  // An attempt is one connection: when to try again, and where, is the feed's choice.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // The application's environment and its DNS are not ours.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (transport.roots.empty()) {
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
  }
  // What gRPC takes for the authority is what it looks for in the certificate.
  if (!transport.server_name.empty()) {
    args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, transport.server_name);
  }
  return grpc::CreateCustomChannel(address, grpc::SslCredentials({transport.roots, {}, {}}), args);
}

// What gRPC's threads see of a stream. The loop touches `response` and `request` only while no read
// or write is under way. Made and destroyed on the loop: the context and the stub hold the channel,
// and the last one to let go of a channel waits for gRPC's threads, so it must be none of them.
template <typename Request, typename Response>
class ControlStream<Request, Response>::Call : public grpc::ClientBidiReactor<Request, Response> {
 public:
  Call(EventLoop& loop, const ControlConnection& connection, std::weak_ptr<ControlStream*> owner)
      : loop_(loop), owner_(std::move(owner)), stub_(connection.channel) {
    if (connection.token.empty()) return;
    context_.AddMetadata("authorization", "Bearer " + connection.token);
  }

  void Start() {
    stub_.PrepareBidiStreamingCall(&context_, kMethod<Request>, {}, this);
    // Reads and writes are started from the loop, not from gRPC's callbacks; the hold keeps the
    // call from ending between them.
    this->AddHold();
    HandOver(this);
    this->StartRead(&response);
    this->StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  // gRPC does not know the call any more.
  void WaitUntilDone() { done_->acquire(); }

  Request request;
  Response response;
  grpc::Status status;

 private:
  void OnReadDone(bool ok) override {
    const Reaction reaction(this);
    Post(ok ? &ControlStream::HandleResponse : &ControlStream::HandleReadFailed);
  }
  // A write that fails is followed by a read that does.
  void OnWriteDone(bool ok) override {
    const Reaction reaction(this);
    if (ok) Post(&ControlStream::HandleWritten);
  }
  void OnDone(const grpc::Status& final_status) override {
    TakeOver(this);
    status = final_status;
    Post(&ControlStream::HandleDone);
    const auto done = done_;  // the call may be destroyed before release() returns
    done->release();
  }

  void Post(void (ControlStream::*handle)()) {
    loop_.Post([owner = owner_, handle] {
      if (const auto stream = owner.lock()) ((*stream)->*handle)();
    });
  }

  EventLoop& loop_;
  const std::weak_ptr<ControlStream*> owner_;
  grpc::TemplatedGenericStub<Request, Response> stub_;
  grpc::ClientContext context_;
  const std::shared_ptr<std::binary_semaphore> done_ = std::make_shared<std::binary_semaphore>(0);
};

template <typename Request, typename Response>
ControlStream<Request, Response>::ControlStream(EventLoop& loop,
                                                const ControlConnection& connection,
                                                Listener& listener)
    : listener_(listener),
      self_(std::make_shared<ControlStream*>(this)),
      call_(std::make_unique<Call>(loop, connection, self_)) {
  call_->Start();
}

template <typename Request, typename Response>
ControlStream<Request, Response>::~ControlStream() {
  self_.reset();
  call_->Cancel();
  if (open_) call_->RemoveHold();
  call_->WaitUntilDone();
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::Send(Request request) {
  if (!open_) return;
  waiting_.push_back(std::move(request));
  WriteNext();
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::WriteNext() {
  if (writing_ || waiting_.empty() || !open_) return;
  writing_ = true;
  call_->request = std::move(waiting_.front());
  waiting_.pop_front();
  call_->StartWrite(&call_->request);
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::ReadNext() {
  read_wanted_ = true;
  MaybeRead();
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::MaybeRead() {
  if (!read_wanted_ || !open_ || waiting_.size() >= kMaxWaitingRequests) return;
  read_wanted_ = false;
  // A fresh message: a cleared one keeps the memory of the largest response.
  call_->response = Response();
  call_->StartRead(&call_->response);
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::HandleResponse() {
  listener_.OnResponse(call_->response);
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::HandleReadFailed() {
  open_ = false;
  waiting_.clear();
  // The reason comes with HandleDone.
  call_->RemoveHold();
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::HandleWritten() {
  writing_ = false;
  WriteNext();
  MaybeRead();
  if (!std::exchange(written_, true)) listener_.OnStreamOpen();
}

template <typename Request, typename Response>
void ControlStream<Request, Response>::HandleDone() {
  listener_.OnStreamClosed(call_->status.error_code(), Explain(call_->status));
}

template class ControlStream<envoy::service::discovery::v3::DeltaDiscoveryRequest,
                             envoy::service::discovery::v3::DeltaDiscoveryResponse>;
template class ControlStream<v1::SidecarMessage, v1::ControlMessage>;

}  // namespace portolan::proxy
