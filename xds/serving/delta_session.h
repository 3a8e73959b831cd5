// The delta protocol, as one client of it sees it.
//
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds.
// system_version_info is the directory's generation on the response that completes a type, and
// empty on those that others follow.
#pragma once

#include <string>
#include <string_view>

#include "xds/serving/session.h"

namespace portolan::xds {

class DeltaSession : public Session {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;

  // A response is cut when it exceeds this; a larger resource travels alone.
  static constexpr size_t kMaxResponseBytes = 64u << 10;

  // One on its way while one is being answered.
  explicit DeltaSession(Options options) : Session(std::move(options), 2) {}

 protected:
  absl::Status Take(const grpc::ByteBuffer& bytes) override;
  void OnChanged(const std::string& name, Subscription& sub) override;
  bool Owes(const Subscription& sub) const override;
  grpc::ByteBuffer Compose(Subscription& sub) override;

 private:
  void Unsubscribe(const std::string& name, Subscription& sub);
  void Subscribe(const std::string& name, const Request& request, Subscription& sub);
  void StartWildcard(const Request& request, Subscription& sub);
  void MarkUnlessHeld(const std::string& name, const Request& request, Subscription& sub);
  void MarkPeers(const std::string& name, const Request& request, Subscription& sub);
  void MarkVanished(const Request& request, Subscription& sub);
  bool Exists(const std::string& name, const Subscription& sub) const;
  // What to send of `name`; null if there is none.
  ResourcePtr FindOwed(const std::string& name, const Subscription& sub) const;
};

}  // namespace portolan::xds
