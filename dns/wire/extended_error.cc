#include "dns/wire/extended_error.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/message.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kOptionHeaderBytes = 4;
constexpr size_t kInfoCodeBytes = 2;
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

size_t AppendExtendedError(std::span<uint8_t> room, size_t reply_bytes, size_t max_bytes,
                           ExtendedError code, std::string_view text) {
  const size_t length_at = LastOptLengthAt(room.first(reply_bytes));
  if (length_at == 0) return reply_bytes;
  const size_t rdata_bytes = Load16(&room[length_at]);
  const size_t limit = std::min({room.size(), max_bytes, kMaxMessageBytes});
  constexpr size_t kFixed = kOptionHeaderBytes + kInfoCodeBytes;
  if (reply_bytes + kFixed > limit || rdata_bytes + kFixed > kMaxRdataBytes) return reply_bytes;
  if (reply_bytes + kFixed + text.size() > limit) text = {};

  uint8_t* at = &room[reply_bytes];
  Store16(at, kExtendedErrorOption);
  Store16(at + 2, static_cast<uint16_t>(kInfoCodeBytes + text.size()));
  Store16(at + kOptionHeaderBytes, static_cast<uint16_t>(code));
  std::copy(text.begin(), text.end(), at + kFixed);
  Store16(&room[length_at], static_cast<uint16_t>(rdata_bytes + kFixed + text.size()));
  return reply_bytes + kFixed + text.size();
}

}  // namespace portolan::dns::wire
