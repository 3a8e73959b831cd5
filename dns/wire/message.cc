#include "dns/wire/message.h"

#include "dns/wire/name.h"

namespace portolan::dns::wire {
namespace {

uint8_t Lower(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<uint8_t>(byte | 0x20) : byte;
}

// Where an uncompressed name ends, or 0.
size_t SkipPlainName(std::span<const uint8_t> message, size_t at) {
  const size_t start = at;
  while (at < message.size() && message[at] <= kMaxLabelBytes) {
    const bool root = message[at] == 0;
    at += size_t{1} + message[at];
    if (at - start > kMaxNameBytes) return 0;
    if (root) return at;
  }
  return 0;
}

}  // namespace

MessageReader::MessageReader(std::span<const uint8_t> message) : message_(message) {
  if (message.size() < kHeaderBytes) return;
  at_ = kHeaderBytes;
  for (size_t i = 0; i < 3; ++i) left_[i] = Load16(message.data() + 6 + 2 * i);
  const size_t questions = Load16(message.data() + 4);
  if (questions > 1) return;
  if (questions == 1) {
    const size_t end = SkipPlainName(message, at_);
    if (end == 0 || end + 4 > message.size()) return;
    question_ = message.subspan(at_, end + 4 - at_);
    at_ = end + 4;
  }
  ok_ = true;
}

bool MessageReader::Next(MessageRecord& record) {
  size_t section = 0;
  while (section < 3 && left_[section] == 0) ++section;
  if (!ok_ || section == 3) return false;
  --left_[section];
  const size_t fixed = SkipName(message_, at_);
  if (fixed == 0 || fixed + 10 > message_.size()) return ok_ = false;
  const uint8_t* bytes = message_.data() + fixed;
  record.section = static_cast<Section>(section);
  record.owner_at = at_;
  record.type = Load16(bytes);
  record.rclass = Load16(bytes + 2);
  record.ttl = Load32(bytes + 4);
  record.ttl_at = fixed + 4;
  record.rdata_at = fixed + 10;
  record.rdata_bytes = Load16(bytes + 8);
  if (record.end() > message_.size()) return ok_ = false;
  at_ = record.end();
  return true;
}

bool SameQuestion(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  if (a.size() != b.size() || a.size() < 5) return false;
  const size_t name = a.size() - 4;
  for (size_t i = 0; i < name; ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  for (size_t i = name; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace portolan::dns::wire
