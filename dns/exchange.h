// One question on its way through the plugin chain, and the room for its answer.
//
// Lives on one worker. An exchange that is answered at once never leaves the stack of the listener;
// one that must wait (for an upstream) is suspended into a slot of a bounded pool, so that no query
// costs an allocation.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "common/ip.h"
#include "dns/questions.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

namespace upstream {
class ServerSet;
}

enum class Transport : uint8_t { kUdp, kTcp };

class Exchange;

// The listener's end of an exchange that waits. Owned by the listener; each of the four ends the
// wait, and the exchange may be gone when it returns.
class Suspended {
 public:
  virtual ~Suspended() = default;
  // The exchange, moved to memory of its own: query() and room() are valid until the wait ends.
  virtual Exchange& exchange() = 0;
  // The reply is in exchange(): as if the link had said kAnswered.
  virtual void Resume() = 0;
  // As if the link had said kNext.
  virtual void Pass() = 0;
  // OnQuery of the link that suspended is called once more.
  virtual void Retry() = 0;
  // No reply is sent.
  virtual void Drop() = 0;
};

// Where Exchange::Suspend comes from.
class SuspendedPool {
 public:
  virtual ~SuspendedPool() = default;
  // Null when all slots are taken: answer SERVFAIL.
  virtual Suspended* Suspend(Exchange& exchange) = 0;
  // Exchange::AskInBackground.
  virtual bool AskInBackground(const Exchange&, std::span<const uint8_t>, uint16_t) {
    return false;
  }
};

// A reply of many messages (a zone transfer, RFC 5936), written as the connection drains.
class ReplyStream {
 public:
  virtual ~ReplyStream() = default;
  // Writes the next message into `room`, which holds wire::kMaxMessageBytes. Its length; 0 after
  // the last.
  virtual size_t Next(std::span<uint8_t> room) = 0;
};

class Exchange {
 public:
  // `questions` is where other questions than the client's are kept; without it there are none.
  Exchange(const wire::Query& query, const SocketAddress& client, Transport transport,
           std::span<uint8_t> room, SuspendedPool& pool, Questions* questions = nullptr)
      : query_(&query),
        questions_(questions),
        client_(client),
        transport_(transport),
        room_(room),
        pool_(&pool) {}

  // The question that is asked now.
  const wire::Query& query() const { return *query_; }
  const SocketAddress& client() const { return client_; }
  Transport transport() const { return transport_; }

  // The most bytes a reply may have: the client's UDP payload size (capped by the server), or
  // 65,535 over TCP. `room()` is at least that large.
  size_t max_reply_bytes() const { return max_reply_bytes_; }
  void set_max_reply_bytes(size_t bytes) { max_reply_bytes_ = bytes; }

  // The UDP payload size that upstreams are told (RFC 6891 6.2.3).
  uint16_t upstream_payload() const { return upstream_payload_; }
  void set_upstream_payload(uint16_t bytes) { upstream_payload_ = bytes; }

  std::span<uint8_t> room() { return room_; }
  // The reply so far: the first reply_bytes of room().
  std::span<uint8_t> reply() { return room_.first(reply_bytes_); }
  std::span<const uint8_t> reply() const { return room_.first(reply_bytes_); }
  void set_reply_bytes(size_t bytes) { reply_bytes_ = bytes; }
  // Says in the reply why it is as it is, if the client sent EDNS and there is room. `text` stays
  // readable for as long as the exchange may wait: `errors` shows it.
  void AddExtendedError(wire::ExtendedError code, std::string_view text) {
    reason_ = text;
    reply_bytes_ = wire::AppendExtendedError(room_, reply_bytes_, max_reply_bytes_, code, text);
  }

  // What AddExtendedError said last.
  std::string_view reason() const { return reason_; }

  // When it arrived. Several that came at once have the same.
  using Time = std::chrono::steady_clock::time_point;
  Time received() const { return received_; }
  void set_received(Time time) { received_ = time; }

  // For Verdict::kStream.
  void set_stream(std::shared_ptr<ReplyStream> stream) { stream_ = std::move(stream); }
  const std::shared_ptr<ReplyStream>& stream() const { return stream_; }

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

  // True if the reply is that of the name with another end of the search list (`autopath`).
  bool completed() const { return completed_; }
  void set_completed(bool completed) { completed_ = completed; }

  // Whether `autopath` may complete the name: not where each name is judged before it is asked.
  bool completable() const { return completable_; }
  void set_completable(bool completable) { completable_ = completable; }

  // What the gate that let the question pass wants to know of it when the reply is there.
  uint64_t gate_mark() const { return gate_mark_; }
  void set_gate_mark(uint64_t mark) { gate_mark_ = mark; }

  // How many links of the chain have seen the question, on its way down, or have yet to see the
  // reply, on its way up: the link that is called now is the last of them.
  size_t depth() const { return depth_; }
  void set_depth(size_t depth) { depth_ = depth; }
  // The depth at which the reply was made; 0: by the server, since no link answered.
  size_t answered_at() const { return answered_at_; }
  void set_answered_at(size_t depth) { answered_at_ = depth; }

  // From here on down another question is asked, of class IN: `name` in wire form, whose spelling
  // the reply echoes. The link that asked finds its `note` in OnReply and either takes the question
  // back, and makes the reply one to the question before, or asks something else (SetInstead, and
  // After::kAskBelow). False, and nothing is changed, when too many are asked already.
  bool AskInstead(std::span<const uint8_t> name, uint16_t type, uint32_t note);
  void SetInstead(std::span<const uint8_t> name, uint16_t type, uint32_t note);
  // The question that is asked instead carries these EDNS options, at most kMaxOptionBytes of them,
  // and an OPT record whether the client sent one or not: what the link that asked makes of the
  // reply has one only if the client did.
  void SetOptions(std::span<const uint8_t> options);
  // The note of the link that is called now, if it asked something instead.
  std::optional<uint32_t> asked_instead() const {
    if (questions_ == nullptr || questions_->size() == 0) return std::nullopt;
    const OtherQuestion& top = questions_->top();
    if (top.by_alias || top.depth != depth_) return std::nullopt;
    return top.note;
  }
  // The question before, while asked_instead().
  const wire::Query& query_before() const { return *questions_->top().before; }
  void TakeBack();
  // The same name and type with other header flags, if not too many are asked already.
  void AskWithFlags(uint16_t flags);

  // The same for an alias (dns/server/alias.h): the reply that ends in it is put aside, at the
  // front of the room and out of the links' sight, while the chain of the target is run.
  bool BeginAlias(std::span<const uint8_t> target);
  // The reply that is aside. Takes back what links of the target's chain may have left asked.
  std::span<const uint8_t> aside();
  // Back to the question with the alias, with the whole room and no reply in it.
  void EndAlias();

  // Null when the pool is full. Afterwards use only what Suspended::exchange() gives.
  Suspended* Suspend() {
    waited_ = true;
    return pool_->Suspend(*this);
  }
  // False: it was answered at once, in the turn of the loop in which it was received.
  bool waited() const { return waited_; }

  // Asks the links below this one a question of its own, whose reply OnReply of this link gets and
  // nobody else: the present one if `name` is empty. False when there is no room for it.
  bool AskInBackground(std::span<const uint8_t> name = {}, uint16_t type = 0) {
    return pool_->AskInBackground(*this, name, type);
  }
  // Nobody waits for the reply: OnReply is not called beyond the link at depth() floor() + 1.
  bool in_background() const { return in_background_; }
  size_t floor() const { return floor_; }

 private:
  friend class ExchangeSlot;  // a pool's slot rebinds query and room to its own memory

  // Another question is asked: where the answer to the last one came from says nothing of it.
  void ForgetAnswer();

  const wire::Query* query_;
  Questions* questions_;
  SocketAddress client_;
  Transport transport_;
  bool local_ = false;
  bool answered_by_upstream_ = false;
  bool completed_ = false;
  bool waited_ = false;
  uint64_t gate_mark_ = 0;
  bool completable_ = true;
  bool in_background_ = false;
  uint16_t upstream_payload_ = wire::kOurUdpPayload;
  std::span<uint8_t> room_;
  SuspendedPool* pool_;
  size_t max_reply_bytes_ = wire::kMinUdpPayload;
  size_t reply_bytes_ = 0;
  size_t depth_ = 0;
  size_t answered_at_ = 0;
  size_t floor_ = 0;
  Time received_{};
  std::string_view reason_;
  upstream::ServerSet* asked_ = nullptr;
  std::shared_ptr<ReplyStream> stream_;
};

}  // namespace portolan::dns
