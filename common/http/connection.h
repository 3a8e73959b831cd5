// One accepted connection: moves bytes between a socket and a Session, through TLS where the server
// has an identity, keeps its deadlines and holds it to its bounds.
//
// The loop's thread only. Part of the server (server.h), which owns connections and outlives them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/http/responder.h"
#include "common/http/session.h"
#include "common/http/tls.h"
#include "common/ip.h"

namespace portolan::http {

struct Timeouts {
  absl::Duration handshake = absl::Seconds(10);  // of TLS, from the connection's first moment
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
  enum class Timeout { kIdle, kRead, kAnswer, kWrite, kHandshake };
  // kGone: the peer went away before the handshake was over.
  enum class Handshake { kHttp1, kHttp2, kFailed, kGone };

  class Owner {
   public:
    virtual ~Owner() = default;
    virtual std::unique_ptr<Session> MakeSession(Protocol protocol, RequestSink& sink) = 0;
    virtual void OnRequest(Request request, Responder responder) = 0;
    virtual void OnTimeout(Timeout timeout) = 0;
    // Only with TLS. `why` is of kFailed.
    virtual void OnHandshake(const SocketAddress& peer, Handshake result, std::string_view why) = 0;
    virtual void OnTally(const Session::Tally& tally) = 0;
    // A stream was cut off: if `on_gone` is still there then, the owner calls it from the loop.
    virtual void OnStreamGone(std::weak_ptr<const std::function<void()>> on_gone) = 0;
    // The connection is over. The owner lets go of it, but not before the callback returned.
    virtual void OnClosed(Connection& connection) = 0;
  };

  // Without `tls`: HTTP/1.1 in the clear.
  Connection(EventLoop& loop, Owner& owner, const Timeouts& timeouts, Fd fd, SocketAddress peer,
             std::unique_ptr<TlsStream> tls)
      : loop_(loop),
        owner_(owner),
        timeouts_(timeouts),
        fd_(std::move(fd)),
        peer_(peer),
        tls_(std::move(tls)) {}

  // Once, after construction.
  void Start();

  // Between two requests, nothing waiting to be sent, or not yet through its handshake: closing it
  // takes no answer from the peer.
  bool idle() const;
  // Carries nothing but answers that are sent piece by piece.
  bool streaming() const;
  // When it last became so, or was last busy.
  std::chrono::steady_clock::time_point last_active() const { return last_active_; }
  // As Session::Drain and Session::Finish.
  void Drain();
  void Finish();
  void Close();

  void OnRequest(StreamId stream, Request request) override;
  void OnGone(StreamId stream) override;

 private:
  class AnswerCarrier;
  class StreamCarrier;
  enum class Mode { kOpen, kLingering, kClosed };
  enum class Deadline { kNone, kHandshake, kIdle, kHead, kBody, kAnswer, kSend, kWrite, kNever };
  enum class Written { kAll, kSome, kFailed };

  void OnReadable();
  void Decrypt(std::string_view received);
  void OnDeadline();
  void Answer(StreamId stream, const Response& response);
  Stream BeginStream(StreamId stream, const Response& head, std::function<void()> on_gone);
  void SendStream(StreamId stream, std::string_view bytes);
  void EndStream(StreamId stream);
  size_t Unsent(StreamId stream) const;
  void LoseStreams();
  std::weak_ptr<Connection> weak_self();
  void Advance(std::string_view bytes);
  Written WriteOutput();
  Written Write(std::string& bytes);
  void Settle();
  void Linger();
  void SetDeadline();
  std::pair<Deadline, absl::Duration> NextDeadline() const;
  bool over() const;
  // Something waits for the socket to take it.
  bool pending() const;

  EventLoop& loop_;
  Owner& owner_;
  const Timeouts timeouts_;
  Fd fd_;
  const SocketAddress peer_;
  const std::unique_ptr<TlsStream> tls_;  // null: in the clear
  std::unique_ptr<Session> session_;      // null until the handshake is over
  EventLoop::Watch readable_;
  EventLoop::Watch writable_;
  EventLoop::Timer timer_;
  Mode mode_ = Mode::kOpen;
  Deadline deadline_ = Deadline::kNone;
  uint64_t deadline_request_ = 0;
  uint64_t deadline_progress_ = 0;
  std::chrono::steady_clock::time_point last_active_ = std::chrono::steady_clock::now();
  size_t lingered_bytes_ = 0;
  // Answers that are sent piece by piece, and what is called when they are cut off.
  std::map<StreamId, std::weak_ptr<const std::function<void()>>> streams_;
  bool peer_done_ = false;   // it has shut its sending side
  bool in_session_ = false;  // guards against a handler's answer from within Receive
  bool wrote_ = false;       // since the deadline was last set
};

}  // namespace portolan::http
