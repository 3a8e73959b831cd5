// One question on its way through the plugin chain, and the room for its answer.
//
// Lives on one worker. An exchange that is answered at once never leaves the stack of the listener;
// one that must wait (for an upstream) is suspended into a slot of a bounded pool, so that no query
// costs an allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/ip.h"
#include "dns/wire/query.h"

namespace portolan::dns {

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

  // True if the answer came from the cluster's directory or other local data, not from an upstream.
  bool local() const { return local_; }
  void set_local(bool local) { local_ = local; }

  // How many plugins of the chain saw the query; Resume walks back from here.
  size_t depth() const { return depth_; }
  void set_depth(size_t depth) { depth_ = depth; }

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
  bool local_ = false;
};

}  // namespace portolan::dns
