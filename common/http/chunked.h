// The chunked transfer coding, read strictly (RFC 9112 7.1): CRLF only, hexadecimal sizes, bounded
// extensions and trailers, both dropped. Lenience here is how requests are smuggled past a proxy
// that reads the same bytes differently.
//
// One thread. Untrusted bytes; fuzzed as part of tests/fuzz/http1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace portolan::http {

class ChunkDecoder {
 public:
  enum class Outcome { kMore, kDone, kMalformed, kTooLarge };

  // `max_body`: bytes of decoded body; `max_framing`: bytes of each chunk's size line, and of all
  // trailers together.
  ChunkDecoder(size_t max_body, size_t max_framing)
      : max_body_(max_body), max_framing_(max_framing) {}

  // Appends to `body` what `input` brings and removes from the front of `input` what was used.
  // After kDone, `input` begins with the next message.
  Outcome Decode(std::string_view& input, std::string& body);

 private:
  enum class State {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
  };
  enum class Step { kOn, kDone, kMalformed, kTooLarge };

  Step Take(char c);
  Step TakeSize(char c);

  const size_t max_body_;
  const size_t max_framing_;
  State state_ = State::kSize;
  uint64_t chunk_left_ = 0;
  size_t digits_ = 0;
  size_t framing_ = 0;
  size_t decoded_ = 0;
};

}  // namespace portolan::http
