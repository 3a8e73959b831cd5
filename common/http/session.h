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

#include "common/http/message.h"

namespace portolan::http {

struct Limits {
  size_t header_bytes = 16 * 1024;  // request line and fields; beyond: 431. At most 64 KB
  size_t target_bytes = 8 * 1024;   // of the request line; beyond: 414
  size_t header_count = 100;        // beyond: 431
  size_t body_bytes = 1024 * 1024;  // beyond: 413
  // With more than this waiting to be sent, no further request is looked at.
  size_t output_bytes = 256 * 1024;
};

// Names a request within its session.
using StreamId = uint64_t;

class RequestSink {
 public:
  virtual ~RequestSink() = default;
  // May call Session::Respond before it returns, or any time later.
  virtual void OnRequest(StreamId stream, Request request) = 0;
};

class Session {
 public:
  enum class Phase {
    kIdle,       // between requests
    kHead,       // a request has begun
    kBody,       // its head is complete, its body is not
    kAnswering,  // waits for Respond
  };

  virtual ~Session() = default;

  // Takes all of `bytes` and calls the sink for each request that is complete. Call it with nothing
  // after output was sent or a response given: what was held back is then looked at.
  virtual void Receive(std::string_view bytes) = 0;

  // The answer to a request. Ignored if that request has been answered already.
  virtual void Respond(StreamId stream, const Response& response) = 0;

  // Gives up on what is under way: answers it with `status` where that is possible, then finishes.
  virtual void Abort(int status, std::string_view why) = 0;

  // Bytes for the peer. The owner sends and erases from the front.
  std::string& output() { return output_; }
  const std::string& output() const { return output_; }

  virtual Phase phase() const = 0;
  // How many requests have begun; tells one kHead from the next.
  virtual uint64_t requests_begun() const = 0;
  // False: stop reading from the peer until output was sent or a response given.
  virtual bool wants_input() const = 0;
  // True: Receive with nothing would make progress.
  virtual bool held_back() const = 0;
  // True: nothing more will be read; close once the output is sent.
  virtual bool finished() const = 0;
  // Requests refused before a handler saw them.
  virtual uint64_t malformed() const = 0;

 protected:
  std::string output_;
};

}  // namespace portolan::http
