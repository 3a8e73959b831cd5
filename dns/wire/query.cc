#include "dns/wire/query.h"

#include <cstring>

#include "dns/wire/bytes.h"
#include "dns/wire/name.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kRecordHeaderBytes = 10;  // type, class, TTL and length, behind the owner
constexpr uint16_t kDnssecOk = 0x8000;     // RFC 3225, in the low half of the OPT record's TTL

// Sets bit 5 of each byte of `word` that is 'A' to 'Z'.
uint64_t LowerWord(uint64_t word) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const uint64_t low7 = word & (kEach * 0x7f);
  const uint64_t from_a = low7 + kEach * (0x80 - 'A');       // top bit where >= 'A'
  const uint64_t above_z = low7 + kEach * (0x80 - 'Z' - 1);  // top bit where > 'Z'
  const uint64_t upper = (from_a ^ above_z) & ~word & (kEach * 0x80);
  return word | upper >> 2;
}

void CopyLowerWord(const uint8_t* from, uint8_t* to) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  word = LowerWord(word);
  std::memcpy(to, &word, sizeof word);
}

// Copies the name in lower case. Length bytes are below 'A' and stay as they are.
void CopyLower(const uint8_t* from, size_t bytes, uint8_t* to) {
  constexpr size_t kWord = sizeof(uint64_t);
  size_t at = 0;
  for (; at + kWord <= bytes; at += kWord) CopyLowerWord(from + at, to + at);
  if (bytes >= kWord) {
    // The last word overlaps the one before.
    CopyLowerWord(from + bytes - kWord, to + bytes - kWord);
    return;
  }
  for (; at < bytes; ++at) {
    const uint8_t byte = from[at];
    to[at] = byte >= 'A' && byte <= 'Z' ? static_cast<uint8_t>(byte | 0x20) : byte;
  }
}

// The question behind the header. Returns where it ends; 0 if it does not parse. A pointer has
// nothing to lead to here and is malformed.
size_t ParseQuestion(std::span<const uint8_t> message, Query& out) {
  size_t at = kHeaderBytes;
  size_t labels = 0;
  while (at < message.size() && message[at] != 0) {
    const size_t length = message[at];
    const size_t offset = at - kHeaderBytes;
    // The root label must fit behind it.
    if (length > kMaxLabelBytes || offset + 1 + length + 1 > kMaxNameBytes) return 0;
    out.label_at[labels++] = static_cast<uint8_t>(offset);
    at += 1 + length;
  }
  if (at + 1 + 4 > message.size()) return 0;
  const size_t name_bytes = at + 1 - kHeaderBytes;
  out.label_at[labels] = static_cast<uint8_t>(name_bytes - 1);
  out.labels = static_cast<uint8_t>(labels);
  out.name_bytes = static_cast<uint8_t>(name_bytes);
  CopyLower(message.data() + kHeaderBytes, name_bytes, out.name.data());
  out.type = Load16(message.data() + at + 1);
  out.qclass = Load16(message.data() + at + 3);
  out.question = message.subspan(kHeaderBytes, name_bytes + 4);
  return at + 5;
}

// Reads the OPT record whose owner ends at `at`. Returns false on EDNS versions above 0.
bool ReadOpt(std::span<const uint8_t> message, size_t at, size_t rdata_bytes, Query& out) {
  const uint8_t* record = message.data() + at;
  const uint16_t payload = Load16(record + 2);
  out.edns = true;
  out.udp_payload = payload < kMinUdpPayload ? kMinUdpPayload : payload;
  out.dnssec_ok = (Load16(record + 6) & kDnssecOk) != 0;
  out.edns_options = message.subspan(at + kRecordHeaderBytes, rdata_bytes);
  return record[5] == 0;
}

// All records behind the question: only an OPT record means anything in a query, but the rest must
// be whole. RFC 6891 6.1.1: one OPT at most, in the additional section, owned by the root.
ParseOutcome ParseRecords(std::span<const uint8_t> message, size_t at, Query& out) {
  const size_t before = size_t{Load16(&message[6])} + Load16(&message[8]);
  const size_t records = before + Load16(&message[10]);
  bool version_ok = true;
  for (size_t i = 0; i < records; ++i) {
    const bool root_owner = at < message.size() && message[at] == 0;
    at = SkipName(message, at);
    if (at == 0 || at + kRecordHeaderBytes > message.size()) return ParseOutcome::kFormErr;
    const uint16_t record_type = Load16(message.data() + at);
    const size_t rdata_bytes = Load16(message.data() + at + 8);
    if (at + kRecordHeaderBytes + rdata_bytes > message.size()) return ParseOutcome::kFormErr;
    if (record_type == type::kOpt) {
      if (out.edns || i < before || !root_owner) return ParseOutcome::kFormErr;
      version_ok = ReadOpt(message, at, rdata_bytes, out);
    }
    at += kRecordHeaderBytes + rdata_bytes;
  }
  if (at != message.size()) return ParseOutcome::kFormErr;
  return version_ok ? ParseOutcome::kQuery : ParseOutcome::kBadVers;
}

}  // namespace

ParseOutcome ParseQuery(std::span<const uint8_t> message, Query& out) {
  out.message = message;
  out.question = {};
  out.type = out.qclass = 0;
  out.name_bytes = out.labels = 0;
  out.edns = out.dnssec_ok = false;
  out.udp_payload = kMinUdpPayload;
  out.edns_options = {};
  if (message.size() < kHeaderBytes || (message[2] & 0x80) != 0) return ParseOutcome::kDrop;
  out.id = Load16(message.data());
  out.flags = Load16(message.data() + 2);

  const bool opcode_query = (out.flags & 0x7800) == 0;
  if (!opcode_query) return ParseOutcome::kNotImp;
  if (Load16(&message[4]) != 1) return ParseOutcome::kFormErr;
  const size_t end = ParseQuestion(message, out);
  if (end == 0) return ParseOutcome::kFormErr;
  const ParseOutcome records = ParseRecords(message, end, out);
  if (records != ParseOutcome::kQuery) return records;
  if (out.qclass == kClassIn) return ParseOutcome::kQuery;
  return out.qclass == kClassChaos ? ParseOutcome::kChaos : ParseOutcome::kRefused;
}

}  // namespace portolan::dns::wire
