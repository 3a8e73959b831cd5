// What one client of the delta protocol has asked for and is still owed: the protocol, without the
// transport.
//
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds. Requests and
// published sets go in, responses come out, one at a time and always from the newest set: a client
// that reads slowly skips states, and what is kept for it is at most the names that changed.
// One thread at a time.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/string_map.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/serving/client_status.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {

// A client's words for our log and our pages: short, and of printable characters.
std::string Printable(std::string_view text);

class DeltaSession {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;

  // A response is cut when it exceeds this; a larger resource travels alone.
  static constexpr size_t kMaxResponseBytes = 64u << 10;
  // What a client may ask for. Beyond: kResourceExhausted.
  static constexpr size_t kMaxNames = 1'000'000;
  static constexpr size_t kMaxTypes = 32;
  static constexpr size_t kMaxTypeUrlBytes = 256;

  // `identifier` is sent as ControlPlane.identifier.
  DeltaSession(std::shared_ptr<const ResourceSet> set, std::string peer, std::string identifier);

  // An error ends the stream.
  absl::Status OnRequest(const Request& request);
  void OnPublish(std::shared_ptr<const ResourceSet> set, const ChangedResources& changed);

  // The next response, serialized; nothing when the client has all it asked for. Types come in the
  // order of ResourceType. system_version_info is the directory's generation on the response that
  // completes a type, and empty on those that others follow.
  std::optional<grpc::ByteBuffer> NextResponse();

  const ClientStatus& client() const { return client_; }
  ClientStatus Status() const;

 private:
  struct Sent {
    std::string nonce;
    uint64_t generation = 0;
    bool completes = false;
  };
  struct Subscription {
    std::optional<ResourceType> type;  // nothing for types that we do not serve
    bool first = true;                 // no request seen yet
    bool wildcard = false;
    StringSet names;

    // A wildcard's first set. The pointers live as long as backlog_set; what is sent is looked up
    // anew in the newest set.
    std::vector<const Resource*> backlog;
    std::shared_ptr<const ResourceSet> backlog_set;
    absl::btree_set<std::string> pending;  // to be looked up, and sent or listed as removed
    absl::btree_set<std::string> removed;  // sent once nothing else is left
    bool owes_answer = false;              // even if it should be empty

    std::deque<Sent> unanswered;
    bool refused = false;  // a NACK since the type was last complete
    TypeStatus status;
  };

  void TakeAnswer(const Request& request, Subscription& sub);
  void Unsubscribe(const std::string& name, Subscription& sub);
  void Subscribe(const std::string& name, const Request& request, Subscription& sub);
  void StartWildcard(const Request& request, Subscription& sub);
  void MarkVanished(const Request& request, Subscription& sub);
  void Mark(const std::string& name, Subscription& sub);
  bool Covers(const Subscription& sub, std::string_view name) const;
  ResourcePtr Find(const Subscription& sub, std::string_view name) const;
  grpc::ByteBuffer Compose(const std::string& type_url, Subscription& sub);

  std::shared_ptr<const ResourceSet> set_;
  const std::string identifier_;
  ClientStatus client_;  // without types
  // Ordered by place in ResourceType, then by type URL; the unknown come last.
  std::map<std::pair<size_t, std::string>, Subscription> subscriptions_;
  size_t name_count_ = 0;
  uint64_t last_nonce_ = 0;
};

}  // namespace portolan::xds
