#include "common/http/chunked.h"

#include <algorithm>

namespace portolan::http {
namespace {

constexpr size_t kMaxSizeDigits = 8;  // 4 GB, beyond any body limit, without overflow

bool IsText(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

ChunkDecoder::Outcome ChunkDecoder::Decode(std::string_view& input, std::string& body) {
  while (!input.empty()) {
    if (state_ == State::kData) {
      const size_t n = std::min<uint64_t>(chunk_left_, input.size());
      body.append(input.substr(0, n));
      input.remove_prefix(n);
      chunk_left_ -= n;
      if (chunk_left_ == 0) state_ = State::kDataCr;
      continue;
    }
    const Step step = Take(input.front());
    input.remove_prefix(1);
    if (step == Step::kDone) return Outcome::kDone;
    if (step == Step::kMalformed) return Outcome::kMalformed;
    if (step == Step::kTooLarge) return Outcome::kTooLarge;
  }
  return Outcome::kMore;
}

ChunkDecoder::Step ChunkDecoder::TakeSize(char c) {
  int digit = -1;
  if (c >= '0' && c <= '9') digit = c - '0';
  if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
  if (digit >= 0) {
    if (++digits_ > kMaxSizeDigits) return Step::kTooLarge;
    chunk_left_ = chunk_left_ * 16 + static_cast<uint64_t>(digit);
    return Step::kOn;
  }
  if (digits_ == 0) return Step::kMalformed;
  if (c == '\r') {
    state_ = State::kSizeLf;
  } else if (c == ';') {
    state_ = State::kExtension;
  } else {
    return Step::kMalformed;
  }
  return Step::kOn;
}

ChunkDecoder::Step ChunkDecoder::Take(char c) {
  if (state_ != State::kDataCr && state_ != State::kDataLf && ++framing_ > max_framing_) {
    return Step::kTooLarge;
  }
  switch (state_) {
    case State::kSize:
      return TakeSize(c);
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return Step::kOn;
      }
      return IsText(c) ? Step::kOn : Step::kMalformed;
    case State::kSizeLf:
      if (c != '\n') return Step::kMalformed;
      if (chunk_left_ > max_body_ - decoded_) return Step::kTooLarge;
      decoded_ += chunk_left_;
      state_ = chunk_left_ == 0 ? State::kTrailerStart : State::kData;
      digits_ = 0;
      framing_ = 0;
      return Step::kOn;
    case State::kData:  // taken in bulk by Decode
    case State::kDataCr:
      state_ = State::kDataLf;
      return c == '\r' ? Step::kOn : Step::kMalformed;
    case State::kDataLf:
      state_ = State::kSize;
      return c == '\n' ? Step::kOn : Step::kMalformed;
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kEndLf;
        return Step::kOn;
      }
      state_ = State::kTrailer;
      return IsText(c) ? Step::kOn : Step::kMalformed;
    case State::kTrailer:
      if (c == '\r') {
        state_ = State::kTrailerLf;
        return Step::kOn;
      }
      return IsText(c) ? Step::kOn : Step::kMalformed;
    case State::kTrailerLf:
      state_ = State::kTrailerStart;
      return c == '\n' ? Step::kOn : Step::kMalformed;
    case State::kEndLf:
      return c == '\n' ? Step::kDone : Step::kMalformed;
  }
  return Step::kMalformed;
}

}  // namespace portolan::http
