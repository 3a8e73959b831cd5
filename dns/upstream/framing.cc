#include "dns/upstream/framing.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/query.h"

namespace portolan::dns::upstream {
namespace {

constexpr size_t kLengthBytes = 2;

}  // namespace

std::span<uint8_t> Framing::Room() {
  std::copy(bytes_.begin() + static_cast<ptrdiff_t>(begin_),
            bytes_.begin() + static_cast<ptrdiff_t>(end_), bytes_.begin());
  end_ -= begin_;
  begin_ = 0;
  if (bytes_.size() < end_ + kReadBytes) bytes_.resize(end_ + kReadBytes);
  return std::span(bytes_).subspan(end_, kReadBytes);
}

bool Framing::Next(std::span<const uint8_t>& message) {
  if (broken_ || end_ - begin_ < kLengthBytes) return false;
  const size_t size = wire::Load16(&bytes_[begin_]);
  if (size < wire::kHeaderBytes) {
    broken_ = true;
    return false;
  }
  if (end_ - begin_ < kLengthBytes + size) return false;
  message = std::span<const uint8_t>(bytes_).subspan(begin_ + kLengthBytes, size);
  begin_ += kLengthBytes + size;
  return true;
}

}  // namespace portolan::dns::upstream
