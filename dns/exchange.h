// One question on its way through the plugin chain, and the room for its answer.
//
// Lives on one worker. An exchange that is answered at once never leaves the stack of the listener;
// one that must wait (for an upstream) is suspended into a slot of a bounded pool, so that no query
// costs an allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/ip.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/query.h"

namespace portolan::dns {

namespace upstream {
class ServerSet;
}

enum class Transport : uint8_t { kUdp, kTcp };

class Exchange;

// The listener's end of an exchange that waits. Owned by the listener; use it once.
class Suspended {
 public:
  virtual ~Suspended() = default;
  // The exchange, moved to memory of its own: query() and room() are valid until Resume.
  virtual Exchange& exchange() = 0;
  // The reply is in exchange(): runs OnReply of the plugins it passed, in reverse, and sends it.
  virtual void Resume() = 0;
  // Sends nothing.
  virtual void Drop() = 0;
};

// Where Exchange::Suspend comes from.
class SuspendedPool {
 public:
  virtual ~SuspendedPool() = default;
  // Null when all slots are taken: answer SERVFAIL.
  virtual Suspended* Suspend(Exchange& exchange) = 0;
};

// What stands at the front of an exchange's room, out of the plugins' sight, while the target of an
// alias is asked for (dns/server/alias.h): the reply that ends in the alias, and the question for
// its target.
struct ReplyAside {
  size_t reply_bytes = 0;  // 0: nothing is aside
  size_t question_bytes = 0;
  // The exchange's own, for when the reply goes on.
  size_t max_reply_bytes = 0;
  size_t depth = 0;

  size_t bytes() const { return reply_bytes + question_bytes; }
};

class Exchange {
 public:
  Exchange(const wire::Query& query, const SocketAddress& client, Transport transport,
           std::span<uint8_t> room, SuspendedPool& pool)
      : query_(&query), client_(client), transport_(transport), room_(room), pool_(&pool) {}

  const wire::Query& query() const { return *query_; }
  const SocketAddress& client() const { return client_; }
  Transport transport() const { return transport_; }

  // The most bytes a reply may have: the client's UDP payload size (capped by the server), or
  // 65,535 over TCP. `room()` is at least that large.
  size_t max_reply_bytes() const { return max_reply_bytes_; }
  void set_max_reply_bytes(size_t bytes) { max_reply_bytes_ = bytes; }

  std::span<uint8_t> room() { return room_; }
  // The reply so far: the first reply_bytes of room().
  std::span<uint8_t> reply() { return room_.first(reply_bytes_); }
  void set_reply_bytes(size_t bytes) { reply_bytes_ = bytes; }
  // Says in the reply why it is as it is, if the client sent EDNS and there is room.
  void AddExtendedError(wire::ExtendedError code, std::string_view text) {
    reply_bytes_ = wire::AppendExtendedError(room_, reply_bytes_, max_reply_bytes_, code, text);
  }

  // True if the answer came from the cluster's directory or other local data, not from an upstream.
  bool local() const { return local_; }
  void set_local(bool local) { local_ = local; }

  // The servers that were asked for the answer; null if none was. They belong to a link of the
  // chain that the exchange runs through.
  upstream::ServerSet* asked() const { return asked_; }
  void set_asked(upstream::ServerSet* servers) { asked_ = servers; }
  // True if the reply is what one of them said, and not our SERVFAIL because none did.
  bool answered_by_upstream() const { return answered_by_upstream_; }
  void set_answered_by_upstream(bool answered) { answered_by_upstream_ = answered; }

  // How many plugins of the chain saw the query; Resume walks back from here.
  size_t depth() const { return depth_; }
  void set_depth(size_t depth) { depth_ = depth; }

  // Goes on with the question `target` in the room behind what `aside` takes. The target's message
  // is the client's. TakeBack ends it, with the query that `target` came from.
  void SetAside(const ReplyAside& aside, const wire::Query& target) {
    aside_ = aside;
    query_ = &target;
    room_ = room_.subspan(aside.bytes());
    max_reply_bytes_ = room_.size();
    reply_bytes_ = depth_ = 0;
    local_ = false;
    asked_ = nullptr;
    answered_by_upstream_ = false;
  }
  void TakeBack(const wire::Query& asked) {
    query_ = &asked;
    room_ = whole_room();
    max_reply_bytes_ = aside_.max_reply_bytes;
    depth_ = aside_.depth;
    aside_ = {};
  }
  const ReplyAside& aside() const { return aside_; }
  // With what is aside.
  std::span<uint8_t> whole_room() const {
    return {room_.data() - aside_.bytes(), room_.size() + aside_.bytes()};
  }

  // Null when the pool is full. Afterwards use only what Suspended::exchange() gives.
  Suspended* Suspend() { return pool_->Suspend(*this); }

 private:
  friend class ExchangeSlot;  // a pool's slot rebinds query and room to its own memory

  const wire::Query* query_;
  SocketAddress client_;
  Transport transport_;
  std::span<uint8_t> room_;
  SuspendedPool* pool_;
  size_t max_reply_bytes_ = wire::kMinUdpPayload;
  size_t reply_bytes_ = 0;
  size_t depth_ = 0;
  ReplyAside aside_;
  bool local_ = false;
  upstream::ServerSet* asked_ = nullptr;
  bool answered_by_upstream_ = false;
};

}  // namespace portolan::dns
