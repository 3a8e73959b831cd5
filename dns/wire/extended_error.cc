#include "dns/wire/extended_error.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/edns.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kInfoCodeBytes = 2;

}  // namespace

size_t AppendExtendedError(std::span<uint8_t> room, size_t reply_bytes, size_t max_bytes,
                           ExtendedError code, std::string_view text) {
  auto data = AppendOption(room, reply_bytes, max_bytes, kExtendedErrorOption,
                           kInfoCodeBytes + text.size());
  if (data.empty()) {
    data = AppendOption(room, reply_bytes, max_bytes, kExtendedErrorOption, kInfoCodeBytes);
    text = {};
  }
  if (data.empty()) return reply_bytes;
  Store16(data.data(), static_cast<uint16_t>(code));
  std::copy(text.begin(), text.end(), data.begin() + kInfoCodeBytes);
  return reply_bytes;
}

}  // namespace portolan::dns::wire
