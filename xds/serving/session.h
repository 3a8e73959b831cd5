// What one client of a discovery stream has asked for and is still owed: what both protocols, delta
// and state of the world, have in common, without the transport.
//
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol. Requests and published sets go
// in, responses come out, one at a time and always from the newest set: a client that reads slowly
// skips states, and what is kept for it is at most the names that changed. One thread at a time.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/string_map.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/serving/client_status.h"
#include "xds/serving/first_set.h"
#include "xds/serving/propagation.h"
#include "xds/serving/recent_times.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {

// A client's words for our log and our pages: short, and of printable characters.
std::string Printable(std::string_view text);

class Session {
 public:
  // What a client may ask for. Beyond: kResourceExhausted.
  static constexpr size_t kMaxNames = 1'000'000;
  static constexpr size_t kMaxTypes = 32;
  static constexpr size_t kMaxTypeUrlBytes = 256;

  struct Options {
    std::shared_ptr<const ResourceSet> set;
    std::string peer;        // as gRPC prints it
    std::string identifier;  // sent as ControlPlane.identifier
    // Of a stream that carries one type alone, where requests may leave the type out. Nothing: an
    // aggregated stream.
    std::optional<ResourceType> only = std::nullopt;
    // Told how long changes take. Null: nobody is. Outlives the session.
    PropagationTimes* times = nullptr;
  };

  // A NACK.
  struct Refusal {
    std::string type_url;
    std::string why;
  };

  virtual ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The client is known to be this one, by its token: no request may come from another Node.id.
  // REQUIRES: no request yet.
  void Admit(std::string node_id) { admitted_ = std::move(node_id); }

  // A request as it came. An error ends the stream: kInvalidArgument for bytes that are no request,
  // kPermissionDenied for one in another's name.
  absl::Status OnRequest(const grpc::ByteBuffer& bytes);
  // Of the last request, if it was one.
  const std::optional<Refusal>& refusal() const { return refusal_; }

  void OnPublish(const ResourceCache::Published& published);

  // The next response, serialized; nothing when the client has all it asked for, or all that it
  // takes for now. Types come in the order of ResourceType.
  std::optional<grpc::ByteBuffer> NextResponse();

  const ClientStatus& client() const { return client_; }  // without types
  // With up to `most_names` of the names of each type.
  ClientStatus Status(size_t most_names) const;

 protected:
  struct Sent {
    std::string nonce;
    uint64_t generation = 0;
    bool completes = false;
    // When the first event that it tells of arrived; infinite if it tells of none.
    absl::Time since = absl::InfiniteFuture();
  };
  struct Subscription {
    std::string type_url;
    std::optional<ResourceType> type;  // nothing for types that we do not serve
    bool first = true;                 // no request seen yet
    bool named = false;                // a name was given once
    bool wildcard = false;
    StringSet names;

    // Delta, a wildcard's first set; what is sent is looked up anew in the newest set.
    FirstSet first_set;
    absl::btree_set<std::string> pending;  // to be looked up, and sent or listed as removed
    absl::btree_set<std::string> removed;  // delta: sent once nothing else is left
    bool owes_answer = false;              // even if it should be empty
    // Delta, PeerSets: the version that the client has once it has read what was sent. What comes
    // next is the difference from that; without one it is sent the whole.
    StringMap<std::string> held;
    absl::Time owed_since = absl::InfiniteFuture();  // as Sent::since, of what is not sent yet

    std::string last_nonce;
    std::deque<Sent> unanswered;
    bool refused = false;  // a NACK since the type was last complete
    TypeStatus status;
    std::unique_ptr<RecentTimes> propagation;  // null before the first
  };
  // The `resources` of a response as they go out, behind a place for the rest of it.
  class Body {
   public:
    // False: it would make the response larger than `most`. A larger part travels alone.
    bool Add(const grpc::Slice& part, size_t most);
    bool Fits(size_t more, size_t most) const { return bytes_ == 0 || bytes_ + more <= most; }
    void Count(size_t bytes) { bytes_ += bytes; }
    grpc::ByteBuffer Finish(const google::protobuf::Message& rest) &&;

   private:
    std::vector<grpc::Slice> parts_ = std::vector<grpc::Slice>(1);
    size_t bytes_ = 0;
  };

  // `most_unanswered`: so many responses of one type may the client have neither accepted nor
  // refused. With as many it is owed the newest state and sent nothing: what lies in sockets
  // between is old by the time it is read.
  Session(Options options, size_t most_unanswered);

  static bool Parse(grpc::ByteBuffer bytes, google::protobuf::Message& request);

  virtual absl::Status Take(const grpc::ByteBuffer& bytes) = 0;
  // Other types are answered, as types without resources.
  virtual bool Serves(ResourceType) const { return true; }
  virtual void OnChanged(const std::string& name, Subscription& sub) = 0;
  virtual bool Owes(const Subscription& sub) const = 0;
  virtual grpc::ByteBuffer Compose(Subscription& sub) = 0;

  // What every request begins with. The subscription is the one of its type, new or known.
  template <typename Request>
  absl::StatusOr<Subscription*> Begin(const Request& request) {
    if (absl::Status status = TakeNode(request.node()); !status.ok()) return status;
    auto found = FindOrAdd(request.type_url());
    if (!found.ok()) return found;
    if (request.has_error_detail()) TakeRefusal(request.error_detail().message(), **found);
    TakeAnswer(request.response_nonce(), **found);
    return found;
  }

  void AddName(const std::string& name, Subscription& sub);
  void RemoveName(const std::string& name, Subscription& sub);

  bool Covers(const Subscription& sub, std::string_view name) const;
  bool WildcardCovers(const Subscription& sub, std::string_view name) const;
  // The one place where a resource is looked up for the client.
  ResourcePtr Find(const Subscription& sub, std::string_view name) const;
  // The one place where what a wildcard covers is listed for it, as ResourceSet::ForEach does.
  template <typename F>
  void ForEach(const Subscription& sub, F&& visit) const {
    if (sub.type.has_value()) set_->ForEach(*sub.type, viewer_, visit);
  }
  // What a head lists of its slices, for the client.
  const ResourceSet::Names* SlicesOf(std::string_view service_key) const {
    return set_->SlicesOf(service_key, viewer_);
  }

  // A response is on its way: gives it its nonce, and the generation where it completes its type.
  template <typename Response>
  void Stamp(Subscription& sub, bool completes, Response& response) {
    response.set_type_url(sub.type_url);
    response.set_nonce(NextNonce(sub, completes));
    // Once is enough for a client to know whom it talks to, and a change is a message of 200 bytes.
    if (last_nonce_ == 1) response.mutable_control_plane()->set_identifier(identifier_);
  }

  const std::shared_ptr<const ResourceSet>& set() const { return set_; }

 private:
  absl::Status TakeNode(const envoy::config::core::v3::Node& node);
  absl::StatusOr<Subscription*> FindOrAdd(const std::string& type_url);
  void TakeRefusal(const std::string& why, Subscription& sub);
  void TakeAnswer(const std::string& nonce, Subscription& sub);
  std::string NextNonce(Subscription& sub, bool completes);
  void Observe(const Subscription& sub, PropagationTimes::Stage stage, absl::Duration took);

  std::shared_ptr<const ResourceSet> set_;
  const std::string identifier_;
  const std::optional<ResourceType> only_;
  PropagationTimes* const times_;
  const size_t most_unanswered_;
  std::optional<std::string> admitted_;
  ClientStatus client_;
  Viewer viewer_;  // by Node.id
  // Ordered by place in ResourceType, then by type URL; the unknown come last.
  std::map<std::pair<size_t, std::string>, Subscription> subscriptions_;
  size_t name_count_ = 0;
  uint64_t last_nonce_ = 0;
  std::optional<Refusal> refusal_;
};

}  // namespace portolan::xds
