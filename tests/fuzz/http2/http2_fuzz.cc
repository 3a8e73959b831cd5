// Any bytes, cut into pieces, make no request beyond the limits, no more output than is allowed,
// and a session that either wants more, has something to send or is finished. The first byte of the
// input is the length of the pieces, the second says how the handler behaves.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/http2.h"

namespace portolan::http {
namespace {

constexpr Limits kLimits{.header_bytes = 512,
                         .target_bytes = 128,
                         .header_count = 8,
                         .body_bytes = 256,
                         .output_bytes = 4096,
                         .streams = 4};
// RFC 9113 4.2: the largest frame that a peer takes unless it says otherwise, with its head.
constexpr size_t kFrameBytes = 16384 + 9;

void Require(bool holds) {
  if (!holds) std::abort();
}

class Peer : public RequestSink {
 public:
  explicit Peer(uint8_t manner) : manner_(manner) {}

  void OnRequest(StreamId stream, Request request) override {
    Require(request.path.starts_with('/') && request.path.find('\0') == std::string::npos);
    Require(request.body.size() <= kLimits.body_bytes);
    Require(request.headers.size() <= kLimits.header_count);
    if (manner_ & 1) {
      later_.push_back(stream);
    } else if (manner_ & 8) {
      session_.Begin(stream, TextResponse(200, request.path));
      session_.Send(stream, std::string(manner_ * 64, 'x'));
      if (manner_ & 16) session_.End(stream);
      later_.push_back(stream);
    } else {
      session_.Respond(stream, TextResponse(200, std::string(manner_ * 64, 'x') + request.body));
    }
  }

  void Send(std::string_view bytes) {
    session_.Receive(bytes);
    do {
      Require(session_.output().size() <= kLimits.output_bytes + kFrameBytes);
      session_.output().clear();
      session_.Receive({});
    } while (session_.held_back() || !session_.output().empty());
    Require(session_.wants_input() || session_.finished());
    (void)session_.phase();
  }

  void End() {
    for (const StreamId stream : later_) {
      session_.Respond(stream, TextResponse(200, "late"));
      session_.Send(stream, "later");
      session_.End(stream);
    }
    if (manner_ & 2) session_.Abort(408, "late");
    if (manner_ & 4) session_.Drain();
    session_.Finish();
    Send({});
  }

 private:
  const uint8_t manner_;
  std::vector<StreamId> later_;
  Http2Session session_{kLimits, *this, [] { return absl::UnixEpoch(); }};
};

}  // namespace
}  // namespace portolan::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t piece = 1 + data[0];
  std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  portolan::http::Peer peer(data[1]);
  for (size_t at = 0; at < input.size(); at += piece) peer.Send(input.substr(at, piece));
  peer.End();
  return 0;
}
