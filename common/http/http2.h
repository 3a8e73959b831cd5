// HTTP/2, server side (RFC 9113), framed by libnghttp2, which http2.cc alone sees. Many requests
// may be under way; they are handed on in the order in which they were complete.
//
// What a peer can make it hold: Limits::streams requests of 64 KB each, and of those the oldest
// alone may grow to Limits::body_bytes, so that all get through, one after the other; Limits::
// output_bytes of answers, beyond which complete requests wait. A peer that resets more requests
// than it lets be answered (CVE-2023-44487), sends a head without end, or makes us acknowledge more
// than it reads, is told to calm down and loses the connection. Priorities and server push are not
// spoken.
//
// One thread. Untrusted bytes; tests/fuzz/http2.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/http/session.h"

struct nghttp2_session;

namespace portolan::http {

class Http2Session : public Session {
 public:
  using Clock = std::function<absl::Time()>;

  // `sink` must outlive the session.
  Http2Session(const Limits& limits, RequestSink& sink, Clock clock = absl::Now);

  void Receive(std::string_view bytes) override;
  void Respond(StreamId stream, const Response& response) override;
  bool Begin(StreamId stream, const Response& head) override;
  void Send(StreamId stream, std::string_view bytes) override;
  void End(StreamId stream) override;
  size_t held(StreamId stream) const override;
  void Abort(int status, std::string_view why) override;
  void Drain() override;
  void Finish() override;
  Phase phase() const override;
  StreamId phase_stream() const override;
  uint64_t phase_progress() const override;
  bool wants_input() const override;
  bool held_back() const override;
  bool finished() const override { return finished_; }

 private:
  struct Stream {
    Phase phase = Phase::kHead;
    Request request;
    std::string target;      // :path
    size_t field_bytes = 0;  // as RFC 9113 6.5.2 counts them; trailers too
    size_t held = 0;         // bytes of the body, which the windows are short of
    bool may_grow = false;   // beyond what every stream may hold
    bool ended = false;      // by the peer: the request is complete
    bool handed_on = false;  // to the sink
    bool is_head = false;
    bool answered = false;   // what is still to come of the request is read away
    std::string answer;      // its body, or what is there of it
    size_t sent = 0;         // of it
    bool streaming = false;  // there is more of it to come
    uint64_t progress = 0;   // bytes of such a one that the peer allowed
    bool all_sent = false;
  };
  using Streams = std::map<int32_t, Stream>;
  struct Callbacks;
  struct SessionFree {
    void operator()(nghttp2_session* session) const;
  };

  // What libnghttp2 calls.
  void OnBeginHead(int32_t id);
  bool OnField(int32_t id, std::string_view name, std::string_view value);
  void OnHead(int32_t id, Stream& stream);
  void OnData(int32_t id, std::string_view data);
  void OnEnd(int32_t id, Stream& stream);
  void OnSent(Stream& stream);
  void OnClosed(int32_t id);
  std::optional<size_t> ReadAnswer(int32_t id, uint8_t* into, size_t room, bool& all);

  Stream* Find(int32_t id);
  // As Find, of an answer that began and has not ended.
  Stream* FindStreaming(StreamId stream);
  // The request that phase() is of, or the end.
  Streams::const_iterator Oldest() const;
  size_t waiting_bytes() const { return output_.size() + unsent_; }
  // 0, or the status to refuse with, and why.
  int CheckHead(Stream& stream, std::string_view& why) const;
  void HandOnRequests();
  void LetOldestGrow();
  void Refuse(int32_t id, Stream& stream, int status, std::string_view why);
  void Submit(int32_t id, Stream& stream, const Response& response);
  void SubmitHead(int32_t id, int status, std::vector<Header> fields, bool with_body);
  void Release(int32_t id, Stream& stream);
  void Terminate(uint32_t error_code);
  void WriteFrames();

  const Limits limits_;
  RequestSink& sink_;
  const Clock clock_;
  std::unique_ptr<nghttp2_session, SessionFree> session_;
  Streams streams_;
  std::deque<int32_t> complete_;  // to be handed on
  int32_t last_begun_ = 0;
  size_t unsent_ = 0;        // bytes of all answers
  uint64_t answered_ = 0;    // streams
  uint64_t unanswered_ = 0;  // streams that ended without their answer
  bool greeted_ = false;     // the peer's SETTINGS came
  bool calm_down_ = false;   // a flood was seen
  bool ending_ = false;      // nothing more is read
  bool cut_short_ = false;   // WriteFrames stopped for output_bytes
  bool finished_ = false;
};

}  // namespace portolan::http
