// One question sent to one server over a socket of its own, and the wait for its reply.
//
// A fresh socket for each question is what makes the source port unpredictable (the kernel draws
// it), and connecting it makes the kernel drop what comes from another address (RFC 5452 9.2).
// Replies with a wrong id or question are counted and waited past: a forger must not end the wait.
//
// One worker's loop. An attempt is reused; Start after Stop.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/upstream/message.h"

namespace portolan::dns::upstream {

// What attempts of one worker share.
struct AttemptContext {
  explicit AttemptContext(EventLoop& l) : loop(l) {}

  EventLoop& loop;
  // Where datagrams are read; a reply points into it until the next is read.
  std::array<uint8_t, 4096> datagram;
  Counter wrong_id;
  Counter wrong_question;
  Counter malformed;
  Counter socket_errors;
};

class Attempt;

class AttemptListener {
 public:
  virtual ~AttemptListener() = default;
  // Both are the last thing the attempt does in its turn: it may be stopped or destroyed in them.
  // `reply` is valid until the attempt is started again.
  virtual void OnReply(Attempt& attempt, const Reply& reply) = 0;
  virtual void OnFailure(Attempt& attempt) = 0;
};

class Attempt {
 public:
  Attempt(AttemptContext& context, AttemptListener& listener)
      : context_(context), listener_(listener) {}
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Sends `request` (a whole message) under the id `id`. False on a socket error; the listener is
  // then not called. `request` must stay as it is until Stop.
  bool StartUdp(const SocketAddress& server, std::span<const uint8_t> request, uint16_t id);
  bool StartTcp(const SocketAddress& server, std::span<const uint8_t> request, uint16_t id);
  // Closes the socket. Replies handed out stay valid until the next start.
  void Stop();

  bool running() const { return socket_.valid(); }
  bool over_tcp() const { return over_tcp_; }

 private:
  bool Open(const SocketAddress& server, std::span<const uint8_t> request, int type);
  void OnDatagrams();
  void OnTcpWritable();
  void OnTcpReadable();
  // False when the reply is not the one waited for.
  bool Take(std::span<const uint8_t> message, Reply& reply);
  void Fail();

  AttemptContext& context_;
  AttemptListener& listener_;
  Fd socket_;
  EventLoop::Watch watch_;
  std::span<const uint8_t> request_;
  uint16_t id_ = 0;
  bool over_tcp_ = false;
  // TCP: two bytes of length and the message; first what is sent, then what is received.
  std::vector<uint8_t> stream_;
  size_t stream_at_ = 0;
};

}  // namespace portolan::dns::upstream
