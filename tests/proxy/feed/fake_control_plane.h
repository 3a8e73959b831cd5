// A control plane on a port of its own on loopback that sends what the test says.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/guarded.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "tests/xds/api/samples.h"

namespace portolan::proxy {

using namespace api;

class FakeControlPlane final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::Service {
 public:
  FakeControlPlane();
  ~FakeControlPlane() override;

  std::string address() const;

  // Sends to the open stream; a nonce is added. False if there is none.
  bool Send(DeltaDiscoveryResponse response);
  // An empty, complete set of every type.
  void SendEmptySets();
  void CloseStreams();
  // As a program that hangs: connections stay, nothing is read or answered any more.
  void Hang() { hanging_ = true; }

  int streams_opened() const { return streams_opened_; }
  // Requests of the newest stream.
  std::vector<DeltaDiscoveryRequest> requests() const;
  // The first request of the newest stream for `type_url`, or an empty one.
  DeltaDiscoveryRequest Subscription(std::string_view type_url) const;
  // Of the newest response of `type_url`; empty if there was none.
  std::string LastNonce(std::string_view type_url) const;
  // The newest request of the newest stream for `type_url` that answers a response.
  DeltaDiscoveryRequest Answer(std::string_view type_url) const;
  // To every type but those that are had on demand.
  bool IsSubscribed() const;

 private:
  using Stream = grpc::ServerReaderWriter<DeltaDiscoveryResponse, DeltaDiscoveryRequest>;
  grpc::Status DeltaAggregatedResources(grpc::ServerContext* context, Stream* stream) override;

  struct State {
    Stream* stream = nullptr;
    grpc::ServerContext* context = nullptr;
    std::vector<DeltaDiscoveryRequest> requests;
    int nonce = 0;
    std::map<std::string, std::string, std::less<>> last_nonces;  // by type URL
  };
  Guarded<State> state_;
  std::atomic<int> streams_opened_{0};
  std::atomic<bool> hanging_{false};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace portolan::proxy
