#include "xds/serving/server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/guarded.h"
#include "common/handover.h"
#include "common/status.h"
#include "xds/api/grpc_process.h"
#include "xds/serving/client_status_service.h"
#include "xds/serving/discovery_methods.h"
#include "xds/serving/discovery_stream.h"
#include "xds/serving/server_identity.h"

namespace portolan::xds {
namespace {

// A client that comes back lists what it holds: 100,000 names with their versions are some 7 MB.
constexpr int kMaxRequestBytes = 16 << 20;
// TLS and HTTP/2 included. Who connects and says nothing holds memory.
constexpr int kHandshakeTimeoutMs = 10'000;

void SetTransport(grpc::ServerBuilder& builder) {
  // A sidecar finds out within seconds that its control plane is gone by pinging every 3 s, also
  // when nothing is said; below that a client is taken for abusive.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 2000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // And the other way round: a sidecar whose node died is forgotten after 15 s.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Else a second control plane on the same port is no error but takes half of the clients.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, api::kStreamWindowBytes);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
}

}  // namespace

// A generic service, since all streams are of bytes: responses are put together from the shared
// bytes of the resources.
class Server::Implementation : public grpc::CallbackGenericService {
 public:
  Implementation(const Options& options, std::shared_ptr<const ResourceSet> first)
      : identifier_(options.identifier), gate_(options.gate), sidecars_(options.sidecars) {
    if (options.identity) identity_.emplace(*options.identity);
    shared_.With([&](Shared& shared) { shared.set = std::move(first); });
  }

  ~Implementation() override {
    if (server_ == nullptr) return;
    EndStreams(std::numeric_limits<size_t>::max());
    if (sidecars_ != nullptr) {
      sidecars_->EndAll({grpc::StatusCode::UNAVAILABLE, "the control plane is ending"});
    }
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
    TakeOver(this);
  }

  absl::Status Start(const std::vector<SocketAddress>& listen,
                     const std::vector<std::string>& sockets) {
    grpc::ServerBuilder builder;
    SetTransport(builder);
    std::vector<int> ports(listen.size(), 0);
    for (size_t i = 0; i < listen.size(); ++i) {
      builder.AddListeningPort(listen[i].ToString(), Credentials(), &ports[i]);
    }
    std::vector<int> opened(sockets.size(), 0);
    for (size_t i = 0; i < sockets.size(); ++i) {
      builder.AddListeningPort("unix:" + sockets[i], grpc::InsecureServerCredentials(), &opened[i]);
    }
    builder.RegisterCallbackGenericService(this);
    builder.RegisterService(&client_status_);
    if (sidecars_ != nullptr) {
      sidecars_->SetGate(gate_);
      builder.RegisterService(sidecars_);
    }
    server_ = builder.BuildAndStart();
    for (size_t i = 0; i < listen.size(); ++i) {
      if (ports[i] == 0) return FailedPrecondition("cannot listen on {}", listen[i].ToString());
      listening_.push_back({listen[i].ip, static_cast<uint16_t>(ports[i])});
    }
    for (size_t i = 0; i < sockets.size(); ++i) {
      if (opened[i] == 0) return FailedPrecondition("cannot listen on unix:{}", sockets[i]);
    }
    if (server_ == nullptr) return FailedPrecondition("the xDS server does not start");
    return absl::OkStatus();
  }

  const std::vector<SocketAddress>& listening() const { return listening_; }

  void SetIdentity(TlsIdentity identity) { identity_->Set(std::move(identity)); }

  void Publish(const ResourceCache::Published& published) {
    // Swapped and listed under one lock: a stream begins with either set, and with the earlier one
    // it is in the list.
    auto streams = shared_.With([&](Shared& shared) {
      shared.set = published.set;
      return ListOf(shared);
    });
    for (const auto& stream : streams) stream->OnPublish(published);
  }

  size_t EndStreams(size_t count) {
    auto streams = shared_.With([&](Shared& shared) {
      shared.ending = true;
      return ListOf(shared);
    });
    // What was ended before may not be gone yet.
    std::erase_if(streams, [](const auto& stream) { return stream->ending(); });
    for (size_t i = 0; i < std::min(count, streams.size()); ++i) streams[i]->End(Ending());
    return streams.size() - std::min(count, streams.size());
  }

  std::vector<std::shared_ptr<DiscoveryStream>> Streams() const {
    return shared_.With([](const Shared& shared) { return ListOf(shared); });
  }

  std::vector<ClientStatus> Clients(size_t most_names) const {
    std::vector<ClientStatus> clients;
    for (const auto& stream : Streams()) clients.push_back(stream->Status(most_names));
    return clients;
  }

  size_t client_count() const {
    return shared_.With([](const Shared& shared) { return shared.streams.size(); });
  }

  const ServingCounts& counts() const { return counts_; }
  const PropagationTimes& times() const { return times_; }

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const DiscoveryMethod* method = FindDiscoveryMethod(context->method());
    if (method == nullptr) return CallbackGenericService::CreateReactor(context);
    auto stream = shared_.With([&](Shared& shared) {
      auto made = std::make_shared<DiscoveryStream>(
          context,
          MakeSession(*method, {.set = shared.set,
                                .peer = context->peer(),
                                .identifier = identifier_,
                                .times = &times_}),
          counts_, [this](DiscoveryStream* done) { Forget(done); });
      shared.streams.emplace(made.get(), made);
      return made;
    });
    stream->Start(gate_);
    if (shared_.With([](const Shared& shared) { return shared.ending; })) stream->End(Ending());
    return stream.get();
  }

 private:
  struct Shared {
    std::shared_ptr<const ResourceSet> set;
    // Each lives until gRPC is done with it.
    absl::flat_hash_map<DiscoveryStream*, std::shared_ptr<DiscoveryStream>> streams;
    bool ending = false;  // new streams are sent elsewhere
  };

  static grpc::Status Ending() {
    return {grpc::StatusCode::UNAVAILABLE, "the control plane is ending"};
  }

  std::shared_ptr<grpc::ServerCredentials> Credentials() {
    return identity_ ? identity_->CredentialsOfPort() : grpc::InsecureServerCredentials();
  }

  static std::vector<std::shared_ptr<DiscoveryStream>> ListOf(const Shared& shared) {
    std::vector<std::shared_ptr<DiscoveryStream>> list;
    list.reserve(shared.streams.size());
    for (const auto& [key, stream] : shared.streams) list.push_back(stream);
    return list;
  }

  void Forget(DiscoveryStream* stream) {
    std::shared_ptr<DiscoveryStream> last;  // destroyed after the lock is released
    shared_.With([&](Shared& shared) {
      const auto found = shared.streams.find(stream);
      last = std::move(found->second);
      shared.streams.erase(found);
    });
    last.reset();
    HandOver(this);
  }

  const std::string identifier_;
  TokenGate* const gate_;
  Sidecars* const sidecars_;
  ServingCounts counts_;
  PropagationTimes times_;
  Guarded<Shared> shared_;
  std::vector<SocketAddress> listening_;
  std::optional<ServerIdentity> identity_;  // outlives server_, as does the next
  ClientStatusService client_status_{[this] { return Clients(0); }};
  std::unique_ptr<grpc::Server> server_;
};

Server::Server(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      std::shared_ptr<const ResourceSet> first) {
  auto implementation = std::make_unique<Implementation>(options, std::move(first));
  if (absl::Status status = implementation->Start(options.listen, options.sockets); !status.ok())
    return status;
  return std::unique_ptr<Server>(new Server(std::move(implementation)));
}

const std::vector<SocketAddress>& Server::listening() const { return implementation_->listening(); }

void Server::Publish(const ResourceCache::Published& published) {
  implementation_->Publish(published);
}

size_t Server::EndStreams(size_t count) { return implementation_->EndStreams(count); }

void Server::SetIdentity(TlsIdentity identity) {
  implementation_->SetIdentity(std::move(identity));
}

std::vector<ClientStatus> Server::Clients(size_t most_names) const {
  return implementation_->Clients(most_names);
}

size_t Server::client_count() const { return implementation_->client_count(); }

void Server::AddMetrics(MetricFamilies& families) const {
  const ServingCounts& counts = implementation_->counts();
  const auto add = [&](std::string_view name, std::string_view help, uint64_t value) {
    AddCounterSample(families, name, help, {}, static_cast<double>(value));
  };
  add("portolan_xds_streams_total", "Discovery streams opened by clients.", counts.streams);
  add("portolan_xds_requests_total", "Discovery requests received.", counts.requests);
  add("portolan_xds_malformed_requests_total",
      "Requests that could not be parsed or make no sense.", counts.malformed_requests);
  add("portolan_xds_nacks_total", "Responses that clients refused.", counts.nacks);
  add("portolan_xds_responses_total", "Discovery responses sent.", counts.responses);
  add("portolan_xds_response_bytes_total", "Bytes of the responses sent.", counts.response_bytes);
  add("portolan_xds_stalled_streams_total",
      "Streams ended because their client took no response for a minute.", counts.stalled_streams);
  implementation_->times().AddMetrics(families);
  AddGaugeSample(families, "portolan_xds_clients", "Discovery streams open now.", {},
                 static_cast<double>(implementation_->Streams().size()));
}

}  // namespace portolan::xds
