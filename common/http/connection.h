// One accepted connection: moves bytes between a socket and a Session, keeps its deadlines and
// holds it to its bounds.
//
// The loop's thread only. Part of the server (server.h), which owns connections and outlives them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/http/responder.h"
#include "common/http/session.h"

namespace portolan::http {

struct Timeouts {
  absl::Duration idle = absl::Seconds(60);    // between requests, and for a peer that does not read
  absl::Duration header = absl::Seconds(10);  // from a request's first byte to the end of its head
  absl::Duration body = absl::Seconds(30);    // from there to the end of its body
  absl::Duration answer = absl::Seconds(30);  // from there until the handler has answered
  // How long what the peer still sends is read away after the last answer, so that a reset does not
  // overtake the answer.
  absl::Duration linger = absl::Seconds(1);
};

class Connection : public RequestSink, public std::enable_shared_from_this<Connection> {
 public:
  enum class Timeout { kIdle, kRead, kAnswer, kWrite };

  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnRequest(Request request, Responder responder) = 0;
    virtual void OnTimeout(Timeout timeout) = 0;
    // The connection is over. The owner lets go of it, but not before the callback returned.
    virtual void OnClosed(Connection& connection) = 0;
  };

  Connection(EventLoop& loop, Owner& owner, const Timeouts& timeouts, Fd fd)
      : loop_(loop), owner_(owner), timeouts_(timeouts), fd_(std::move(fd)) {}

  // Once, after construction. `make_session` is given the sink that the session is to call.
  void Start(const std::function<std::unique_ptr<Session>(RequestSink&)>& make_session);

  // Between two requests, nothing waiting to be sent: closing it takes nothing from the peer.
  bool idle() const;
  // When it last became so, or was last busy.
  std::chrono::steady_clock::time_point last_active() const { return last_active_; }
  void Close();

  // Requests that the session refused.
  uint64_t malformed() const { return session_->malformed(); }

  void OnRequest(StreamId stream, Request request) override;

 private:
  enum class Mode { kOpen, kLingering, kClosed };
  enum class Deadline { kNone, kIdle, kHead, kBody, kAnswer, kWrite };
  enum class Written { kAll, kSome, kFailed };

  void OnReadable();
  void OnDeadline();
  void Answer(StreamId stream, const Response& response);
  void Advance(std::string_view bytes);
  Written WriteOutput();
  void Settle();
  void Linger();
  void SetDeadline();
  bool over() const;

  EventLoop& loop_;
  Owner& owner_;
  const Timeouts timeouts_;
  Fd fd_;
  std::unique_ptr<Session> session_;
  EventLoop::Watch readable_;
  EventLoop::Watch writable_;
  EventLoop::Timer timer_;
  Mode mode_ = Mode::kOpen;
  Deadline deadline_ = Deadline::kNone;
  uint64_t deadline_request_ = 0;
  std::chrono::steady_clock::time_point last_active_ = std::chrono::steady_clock::now();
  size_t lingered_bytes_ = 0;
  bool peer_done_ = false;   // it has shut its sending side
  bool in_session_ = false;  // guards against a handler's answer from within Receive
  bool wrote_ = false;       // since the deadline was last set
};

}  // namespace portolan::http
