#include "dns/wire/edns.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/message.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kOptionHeaderBytes = 4;
constexpr size_t kMaxRdataBytes = 65535;

// Where the length of the OPT record's options stands, if it is the last record; else 0.
size_t LastOptLengthAt(std::span<const uint8_t> reply) {
  MessageReader reader(reply);
  MessageRecord last;
  bool any = false;
  for (MessageRecord record; reader.Next(record); last = record) any = true;
  const bool is_opt = any && last.type == type::kOpt && last.section == Section::kAdditional;
  return reader.ok() && is_opt && last.end() == reply.size() ? last.rdata_at - 2 : 0;
}

}  // namespace

std::optional<std::span<const uint8_t>> FindOption(std::span<const uint8_t> options,
                                                   uint16_t code) {
  while (options.size() >= kOptionHeaderBytes) {
    const size_t bytes = Load16(options.data() + 2);
    if (bytes > options.size() - kOptionHeaderBytes) break;
    if (Load16(options.data()) == code) return options.subspan(kOptionHeaderBytes, bytes);
    options = options.subspan(kOptionHeaderBytes + bytes);
  }
  return std::nullopt;
}

std::span<uint8_t> AppendOption(std::span<uint8_t> room, size_t& reply_bytes, size_t max_bytes,
                                uint16_t code, size_t data_bytes) {
  const size_t length_at = LastOptLengthAt(room.first(reply_bytes));
  if (length_at == 0) return {};
  const size_t rdata_bytes = Load16(&room[length_at]) + kOptionHeaderBytes + data_bytes;
  const size_t limit = std::min({room.size(), max_bytes, kMaxMessageBytes});
  if (reply_bytes + kOptionHeaderBytes + data_bytes > limit || rdata_bytes > kMaxRdataBytes) {
    return {};
  }
  uint8_t* at = &room[reply_bytes];
  Store16(at, code);
  Store16(at + 2, static_cast<uint16_t>(data_bytes));
  Store16(&room[length_at], static_cast<uint16_t>(rdata_bytes));
  reply_bytes += kOptionHeaderBytes + data_bytes;
  return {at + kOptionHeaderBytes, data_bytes};
}

}  // namespace portolan::dns::wire
