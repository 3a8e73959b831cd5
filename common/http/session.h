// A session turns a connection's bytes into requests, and responses into bytes: the part that
// differs between HTTP/1.1 and HTTP/2. It knows no socket and no clock but the Date it writes, so
// tests and fuzzers drive it with strings.
//
// One thread. Who owns the session (connection.h) moves bytes and keeps time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/http/message.h"

namespace portolan::http {

struct Limits {
  size_t header_bytes = 16 * 1024;  // request line and fields; beyond: 431. At most 64 KB
  size_t target_bytes = 8 * 1024;   // of the request line; beyond: 414
  size_t header_count = 100;        // beyond: 431
  size_t body_bytes = 1024 * 1024;  // beyond: 413
  // With more than this waiting to be sent, no further request is looked at.
  size_t output_bytes = 256 * 1024;
  // Requests at once on one connection (HTTP/2); beyond: refused, to be sent again.
  uint32_t streams = 100;
};

// Names a request within its session.
using StreamId = uint64_t;

class RequestSink {
 public:
  virtual ~RequestSink() = default;
  // May call Session::Respond or Begin before it returns, or any time later.
  virtual void OnRequest(StreamId stream, Request request) = 0;
  // The peer wants no more of an answer that began and has not ended. Called from within Receive;
  // an answer that is cut off because the session finishes, or its owner closes, is not told of.
  virtual void OnGone(StreamId /*stream*/) {}
};

class Session {
 public:
  // Of the oldest request under way; with HTTP/2 there may be many, and each gets its time once it
  // is the oldest. Answers that are sent piece by piece and wait for their next piece come after
  // all others: they may take for ever.
  enum class Phase {
    kIdle,       // between requests
    kHead,       // a request has begun
    kBody,       // its head is complete, its body is not
    kAnswering,  // waits for Respond
    kSending,    // answered; the peer has yet to allow the rest of the answer (HTTP/2)
    kStreaming,  // an answer has begun, and all there is of it was sent
  };

  // What became of requests that no handler answered.
  struct Tally {
    uint64_t malformed = 0;  // refused before a handler saw them
    uint64_t reset = 0;      // HTTP/2 streams that ended before their answer was sent
    uint64_t refused = 0;    // HTTP/2 streams beyond Limits::streams
    uint64_t floods = 0;     // HTTP/2 connections ended for what only an attacker does
  };

  virtual ~Session() = default;

  // Takes all of `bytes` and calls the sink for each request that is complete. Call it with nothing
  // after output was sent or a response given: what was held back is then looked at.
  virtual void Receive(std::string_view bytes) = 0;

  // The answer to a request. Ignored if that request has been answered already.
  virtual void Respond(StreamId stream, const Response& response) = 0;

  // The answer to a request, whose body comes piece by piece. False: there is nothing to be sent
  // to: the request was HEAD, is gone or was answered.
  virtual bool Begin(StreamId stream, const Response& head) = 0;
  // Of an answer that began; ignored once it ended.
  virtual void Send(StreamId stream, std::string_view bytes) = 0;
  virtual void End(StreamId stream) = 0;
  // Bytes of it that are not in output(): the peer has yet to allow them.
  virtual size_t held(StreamId stream) const = 0;

  // Gives up on the request that phase() is of: answers it with `status` where that is possible.
  // HTTP/1.1 then finishes, as does HTTP/2 where no answer is possible.
  virtual void Abort(int status, std::string_view why) = 0;

  // Bids the peer go elsewhere with its next request; one that it sends all the same is answered.
  virtual void Drain() = 0;
  // Takes no further request. What is under way is answered, answers that are sent piece by piece
  // end where they are, then it is finished.
  virtual void Finish() = 0;

  // Bytes for the peer. The owner sends and erases from the front.
  std::string& output() { return output_; }
  const std::string& output() const { return output_; }

  virtual Phase phase() const = 0;
  // The request that phase() is of, or was last of; tells one kHead from the next.
  virtual StreamId phase_stream() const = 0;
  // Grows as the peer allows more of a kSending whose answer may be without end.
  virtual uint64_t phase_progress() const { return 0; }
  // False: stop reading from the peer until output was sent or a response given.
  virtual bool wants_input() const = 0;
  // True: Receive with nothing would make progress.
  virtual bool held_back() const = 0;
  // True: nothing more will be read; close once the output is sent.
  virtual bool finished() const = 0;

  // Since it was last taken.
  Tally TakeTally() { return std::exchange(tally_, Tally()); }

 protected:
  std::string output_;
  Tally tally_;
};

}  // namespace portolan::http
