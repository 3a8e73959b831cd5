// One question sent to one server, and the wait for its reply: over a datagram socket of its own,
// or as one of several questions on a kept connection (stream_pool.h).
//
// A fresh datagram socket for each question is what makes the source port unpredictable. Replies
// with a wrong id or question are counted and waited past: a forger must not end the wait.
//
// One worker's loop. An attempt is reused; Start after Stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/event_loop.h"
#include "dns/upstream/context.h"
#include "dns/upstream/message.h"
#include "dns/upstream/socket.h"

namespace portolan::dns::upstream {

class Attempt;
class Connection;
class StreamPool;

enum class AttemptError : uint8_t { kNetwork, kTls };

class AttemptListener {
 public:
  virtual ~AttemptListener() = default;
  // Both are the last thing the attempt does in its turn: it may be stopped, started again or
  // destroyed in them. `reply` is valid until the loop turns.
  virtual void OnReply(Attempt& attempt, const Reply& reply) = 0;
  virtual void OnFailure(Attempt& attempt, AttemptError error) = 0;
};

// What is sent. `question` takes the place of the one in `request`; the two differ in letter case
// at most, and with Spelling::kExact the reply must repeat that case.
struct Outgoing {
  std::span<const uint8_t> request;
  std::span<const uint8_t> question;
  Spelling spelling = Spelling::kAny;

  std::span<const uint8_t> header() const { return request.first(wire::kHeaderBytes); }
  std::span<const uint8_t> tail() const {
    return request.subspan(wire::kHeaderBytes + question.size());
  }
};

class Attempt {
 public:
  Attempt(Context& context, AttemptListener& listener)
      : context_(context), listener_(listener), socket_(context) {}
  ~Attempt() { Stop(); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // kYes: the listener will be called unless Stop comes first. Otherwise it is not. What `outgoing`
  // points to must stay as it is until Stop.
  Started StartUdp(const SocketAddress& server, const Outgoing& outgoing);
  // Over a kept connection if there is one. On a connection that ends before the reply the question
  // is asked once more over a fresh one.
  Started StartStream(StreamPool& pool, const Outgoing& outgoing);
  Started StartFreshStream(StreamPool& pool, const Outgoing& outgoing);
  void Stop();

  bool running() const { return socket_.is_open() || connection_ != nullptr; }
  bool over_stream() const { return over_stream_; }

 private:
  friend class Connection;

  Started StartOn(StreamPool& pool, Started (StreamPool::*choose)(Connection*&),
                  const Outgoing& outgoing);
  void OnDatagrams();
  // False when the reply is not the one waited for.
  bool Take(std::span<const uint8_t> message, Reply& reply);
  void Fail(AttemptError error);

  // What its connection calls: with a message under its id, and at its end.
  void OnMessage(std::span<const uint8_t> message);
  void OnConnectionLost(bool was_established, AttemptError error);

  Context& context_;
  AttemptListener& listener_;
  Outgoing outgoing_;
  uint16_t id_ = 0;
  bool over_stream_ = false;
  bool retried_ = false;
  Socket socket_;
  EventLoop::Watch watch_;
  StreamPool* pool_ = nullptr;
  Connection* connection_ = nullptr;
};

}  // namespace portolan::dns::upstream
