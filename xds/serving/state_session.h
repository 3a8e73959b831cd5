// The state-of-the-world protocol, as one client of it sees it.
//
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol. For Envoy's standard types;
// our own are answered as types that are not served. A response of Listeners or Clusters holds all
// that the client asked for and exists: what is not in it does not exist. One of
// RouteConfigurations or ClusterLoadAssignments holds what is new to the client or changed.
// version_info is the directory's generation.
//
// A type's next response waits until the client answered the one before: so a client that is slow
// is sent the newest state, and what it asks for is never lost to a nonce that has become stale.
#pragma once

#include <string>
#include <utility>

#include "xds/serving/session.h"

namespace portolan::xds {

class StateSession : public Session {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;

  // A response that need not be complete is cut when it exceeds this; a larger resource travels
  // alone. A gRPC client refuses messages of more than 4 MB.
  static constexpr size_t kMaxPartialBytes = 1u << 20;

  // An answer to an earlier response counts for nothing, so there is one at a time.
  explicit StateSession(Options options) : Session(std::move(options), 1) {}

 protected:
  absl::Status Take(const grpc::ByteBuffer& bytes) override;
  bool Serves(ResourceType type) const override { return IsEnvoyType(type); }
  void OnChanged(const std::string& name, Subscription& sub) override;
  bool Owes(const Subscription& sub) const override;
  grpc::ByteBuffer Compose(Subscription& sub) override;

 private:
  void Follow(const Request& request, Subscription& sub);
  void StartWildcard(Subscription& sub);
  void AddAll(const Subscription& sub, Body& body) const;
  void AddPending(Subscription& sub, Body& body) const;
};

}  // namespace portolan::xds
