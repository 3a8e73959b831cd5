#include "tests/proxy/feed/fake_control_plane.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "proxy/feed/subscriptions.h"

namespace portolan::proxy {

FakeControlPlane::FakeControlPlane() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 100);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeControlPlane::~FakeControlPlane() {
  hanging_ = false;
  server_->Shutdown(std::chrono::system_clock::now());
}

std::string FakeControlPlane::address() const { return "127.0.0.1:" + std::to_string(port_); }

bool FakeControlPlane::Send(DeltaDiscoveryResponse response) {
  return state_.With([&](State& state) {
    if (state.stream == nullptr) return false;
    response.set_nonce(std::to_string(++state.nonce));
    state.last_nonces[response.type_url()] = response.nonce();
    return state.stream->Write(response);
  });
}

void FakeControlPlane::SendEmptySets() {
  for (const FeedType& type : kFeedTypes) {
    if (type.is_wildcard()) Send(MakeResponse(type.type_url, {}));
  }
}

void FakeControlPlane::CloseStreams() {
  state_.With([](State& state) {
    if (state.context != nullptr) state.context->TryCancel();
  });
}

std::vector<DeltaDiscoveryRequest> FakeControlPlane::requests() const {
  return state_.With([](const State& state) { return state.requests; });
}

DeltaDiscoveryRequest FakeControlPlane::Subscription(std::string_view type_url) const {
  for (const auto& request : requests()) {
    if (request.type_url() == type_url) return request;
  }
  return {};
}

bool FakeControlPlane::IsSubscribed() const {
  return std::all_of(kFeedTypes.begin(), kFeedTypes.end(), [&](const FeedType& type) {
    return type.is_on_demand() || !Subscription(type.type_url).resource_names_subscribe().empty();
  });
}

std::string FakeControlPlane::LastNonce(std::string_view type_url) const {
  return state_.With([&](const State& state) {
    const auto found = state.last_nonces.find(type_url);
    return found == state.last_nonces.end() ? std::string() : found->second;
  });
}

DeltaDiscoveryRequest FakeControlPlane::Answer(std::string_view type_url) const {
  DeltaDiscoveryRequest newest;
  for (const auto& request : requests()) {
    if (request.type_url() == type_url && !request.response_nonce().empty()) newest = request;
  }
  return newest;
}

grpc::Status FakeControlPlane::DeltaAggregatedResources(grpc::ServerContext* context,
                                                        Stream* stream) {
  state_.With([&](State& state) {
    state.stream = stream;
    state.context = context;
    state.requests.clear();
  });
  ++streams_opened_;
  DeltaDiscoveryRequest request;
  while (stream->Read(&request)) {
    while (hanging_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    // What an earlier stream still had to say is not the newest one's.
    state_.With([&](State& state) {
      if (state.stream == stream) state.requests.push_back(request);
    });
    // There is no ProxyConfig unless the test sends one.
    if (request.type_url() == kProxyConfigType && request.resource_names_subscribe_size() > 0) {
      Send(MakeResponse(kProxyConfigType, {}, {"default"}));
    }
  }
  state_.With([&](State& state) {
    if (state.stream != stream) return;
    state.stream = nullptr;
    state.context = nullptr;
    state.requests.clear();
  });
  return grpc::Status::OK;
}

}  // namespace portolan::proxy
