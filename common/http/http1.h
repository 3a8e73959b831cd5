// HTTP/1.0 and HTTP/1.1, server side (RFC 9112), with keep-alive and pipelining: requests are
// answered one at a time, in the order they came.
//
// Heads are parsed by libhttp-parser, seen by http1.cc alone. Debian builds it in its lenient mode
// (bare LF, folded fields, a space before the colon, "HTTP/1.9" all pass), so a head is first held
// against the strict grammar here, and bodies are framed here: by Content-Length or ChunkDecoder. A
// request that two readers could frame differently is refused and the connection closed: both
// Content-Length and Transfer-Encoding, repeated or odd values of either, Transfer-Encoding in
// HTTP/1.0.
//
// One thread. Untrusted bytes; tests/fuzz/http1.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/http/chunked.h"
#include "common/http/session.h"

namespace portolan::http {

class Http1Session : public Session {
 public:
  using Clock = std::function<absl::Time()>;

  // `sink` must outlive the session.
  Http1Session(const Limits& limits, RequestSink& sink, Clock clock = absl::Now);

  void Receive(std::string_view bytes) override;
  void Respond(StreamId stream, const Response& response) override;
  bool Begin(StreamId stream, const Response& head) override;
  void Send(StreamId stream, std::string_view bytes) override;
  void End(StreamId stream) override;
  size_t held(StreamId) const override { return 0; }
  void Abort(int status, std::string_view why) override;
  void Drain() override { draining_ = true; }
  void Finish() override;
  Phase phase() const override { return phase_; }
  StreamId phase_stream() const override { return stream_; }
  bool wants_input() const override;
  bool held_back() const override;
  bool finished() const override { return finished_; }

 private:
  enum class Progress { kMade, kNeedsInput };
  enum class HeadScan { kMore, kComplete, kBad, kTargetTooLong };

  bool may_parse() const;
  Progress ReadHead();
  Progress ReadBody();
  Progress ReadChunks();
  HeadScan ScanHead();
  void TakeHead(std::string_view head);
  void DispatchRequest();
  Progress Refuse(int status, std::string_view why);
  void Write(const Response& response);
  void WriteHead(const Response& response, const std::vector<Header>& fields);

  const Limits limits_;
  RequestSink& sink_;
  const Clock clock_;

  std::string input_;   // received, not yet taken
  size_t scanned_ = 0;  // of input_, by ScanHead
  bool first_line_ended_ = false;
  bool starved_ = true;  // the last Receive stopped for want of input
  Phase phase_ = Phase::kIdle;
  StreamId stream_ = 0;
  bool draining_ = false;  // the next answer is the last
  bool finished_ = false;

  // Of the request under way.
  Request request_;
  uint64_t body_left_ = 0;
  std::optional<ChunkDecoder> chunks_;
  bool keep_alive_ = false;
  bool is_head_ = false;
  bool is_http10_ = false;
};

}  // namespace portolan::http
