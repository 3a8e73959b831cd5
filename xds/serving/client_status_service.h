// Client status discovery (CSDS): what each connected client was sent, and what it accepted or
// refused, for standard tools.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
//
// A ClientConfig for each stream; its client_scope is the client's address. In it an entry for each
// type that was asked for, without a name and without contents: versions are generations of the
// directory. Clients may be chosen by node_id (exact, prefix, suffix, contains). Answers who asks
// from this machine alone (kubectl port-forward does), as it names all clients. Any thread.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "envoy/service/status/v3/csds.grpc.pb.h"
#include "xds/serving/client_status.h"

namespace portolan::xds {

// `peer` as gRPC prints it: loopback or a unix socket.
bool IsThisMachine(std::string_view peer);

class ClientStatusService
    : public envoy::service::status::v3::ClientStatusDiscoveryService::CallbackService {
 public:
  using Request = envoy::service::status::v3::ClientStatusRequest;
  using Response = envoy::service::status::v3::ClientStatusResponse;

  // What a gRPC client takes by default. More is RESOURCE_EXHAUSTED.
  static constexpr size_t kMaxResponseBytes = 4u << 20;

  // `clients` is called on threads of gRPC's own.
  explicit ClientStatusService(std::function<std::vector<ClientStatus>()> clients)
      : clients_(std::move(clients)) {}

  grpc::ServerUnaryReactor* FetchClientStatus(grpc::CallbackServerContext* context,
                                              const Request* request, Response* response) override;
  grpc::ServerBidiReactor<Request, Response>* StreamClientStatus(
      grpc::CallbackServerContext* context) override;

  // An answer to a request that came from `peer`.
  grpc::Status Answer(std::string_view peer, const Request& request, Response& response) const;

 private:
  const std::function<std::vector<ClientStatus>()> clients_;
};

}  // namespace portolan::xds
