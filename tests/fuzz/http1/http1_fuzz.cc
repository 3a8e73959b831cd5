// Any bytes, given at once and cut into pieces, make the same requests and the same answers, and
// nothing beyond the limits is held. The first byte of the input is the length of the pieces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/http/http1.h"

namespace portolan::http {
namespace {

constexpr Limits kLimits{.header_bytes = 512,
                         .target_bytes = 128,
                         .header_count = 8,
                         .body_bytes = 256,
                         .output_bytes = 1024};

void Require(bool holds) {
  if (!holds) std::abort();
}

class Peer : public RequestSink {
 public:
  void OnRequest(StreamId stream, Request request) override {
    Require(request.path.starts_with('/') && request.path.find('\0') == std::string::npos);
    Require(request.body.size() <= kLimits.body_bytes);
    Require(request.headers.size() <= kLimits.header_count);
    seen_ += request.method + " " + request.path + " " + request.host + "\n";
    for (const auto& [key, value] : request.query) seen_ += key + "=" + value + "\n";
    for (const Header& header : request.headers) seen_ += header.name + ":" + header.value + "\n";
    seen_ += request.body + "\n";
    if (!request.path.starts_with("/s")) {
      return session_.Respond(stream, TextResponse(200, request.body));
    }
    session_.Begin(stream, TextResponse(200, request.path));
    session_.Send(stream, request.body);
    session_.End(stream);
  }

  void Send(std::string_view bytes) {
    session_.Receive(bytes);
    do {
      seen_out_ += session_.output();
      session_.output().clear();
      session_.Receive({});
    } while (session_.held_back() || !session_.output().empty());
    Require(session_.wants_input() || session_.finished());
  }

  const std::string& seen() const { return seen_; }
  const std::string& seen_out() const { return seen_out_; }

 private:
  std::string seen_;
  std::string seen_out_;
  Http1Session session_{kLimits, *this, [] { return absl::UnixEpoch(); }};
};

}  // namespace
}  // namespace portolan::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using portolan::http::Peer;
  if (size == 0) return 0;
  const size_t piece = 1 + data[0] % 32;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Peer whole;
  whole.Send(input);
  Peer pieces;
  for (size_t at = 0; at < input.size(); at += piece) pieces.Send(input.substr(at, piece));
  portolan::http::Require(whole.seen() == pieces.seen());
  portolan::http::Require(whole.seen_out() == pieces.seen_out());
  return 0;
}
