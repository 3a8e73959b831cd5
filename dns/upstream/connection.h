// One kept connection to an upstream, TCP or TLS, with several questions under way on it (RFC 7766
// 6.2.1: pipelined, answered in any order, told apart by id and question). Belongs to a StreamPool.
//
// The worker's loop. May end in any callback; its attempts are then told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "dns/upstream/attempt.h"
#include "dns/upstream/context.h"
#include "dns/upstream/framing.h"
#include "dns/upstream/socket.h"
#include "dns/upstream/tls.h"

namespace portolan::dns::upstream {

class Connection {
 public:
  // More than that and another connection is opened.
  static constexpr size_t kMaxInFlight = 128;
  // How long a question may stay unanswered with nothing else coming in. Also for connecting.
  static constexpr absl::Duration kDeadAfter = absl::Seconds(5);
  // After as much silence with questions under way new ones go over another connection.
  static constexpr std::chrono::milliseconds kStalledAfter{300};

  Connection(Context& context, StreamPool& pool);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Started Open();

  // Queues the question; returns the id it travels under. REQUIRES: HasRoom().
  uint16_t Send(Attempt& attempt, const Outgoing& outgoing);
  // The attempt waits no longer. Its id stays taken until the answer comes.
  void Abandon(const Attempt& attempt);
  // The attempt has its reply.
  void Finish(uint16_t id);

  bool HasRoom() const { return in_flight_ < kMaxInFlight; }
  bool Stalled(Clock::time_point now) const {
    return in_flight_ > 0 && now - heard_at_ > kStalledAfter;
  }
  bool idle() const { return state_ == State::kOpen && in_flight_ == 0; }
  // Whether anybody waits for it.
  bool wanted() const;

 private:
  enum class State : uint8_t { kConnecting, kHandshaking, kOpen };
  struct Slot {
    bool taken = false;
    uint16_t id = 0;
    Attempt* attempt = nullptr;  // null: abandoned
  };

  void OnWritable();
  void OnReadable();
  void OnTimer();
  // Both false when the connection has ended.
  bool Receive(std::span<const uint8_t> bytes);
  bool DeliverMessages();
  bool Deliver(std::span<const uint8_t> message);
  void Flush();
  void Encrypt();
  void Settle();
  // What ends the connection and destroys this.
  void Fail(AttemptError error);
  void FailTls();

  Slot* Find(uint16_t id);

  Context& context_;
  StreamPool& pool_;
  State state_ = State::kConnecting;
  Socket socket_;
  std::optional<TlsStream> tls_;
  EventLoop::Watch read_, write_;
  EventLoop::Timer timer_;
  Framing frames_;
  std::vector<uint8_t> plain_;  // not yet encrypted
  std::vector<uint8_t> out_;
  size_t out_at_ = 0;
  std::array<Slot, kMaxInFlight> slots_;
  size_t in_flight_ = 0;
  Clock::time_point heard_at_;
  bool* gone_ = nullptr;  // set while a listener is called, to learn whether this ended meanwhile
};

}  // namespace portolan::dns::upstream
