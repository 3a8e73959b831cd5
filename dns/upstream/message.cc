#include "dns/upstream/message.h"

#include <algorithm>
#include <cstring>

#include "dns/wire/bytes.h"
#include "dns/wire/reply.h"

namespace portolan::dns::upstream {
namespace {

using wire::Load16;
using wire::Store16;
using wire::Store32;

constexpr size_t kOptBytes = 11;  // root owner, type, payload size, rcode and flags, length
constexpr uint32_t kDnssecOk = 0x8000;
constexpr uint16_t kPassedFlags =
    wire::flag::kRecursionDesired | wire::flag::kAuthenticData | wire::flag::kCheckingDisabled;

// Options between one pair of neighbours only.
// https://www.iana.org/assignments/dns-parameters (EDNS0 option codes)
bool IsHopByHop(uint16_t code) {
  constexpr uint16_t kNsid = 3, kCookie = 10, kTcpKeepalive = 11, kPadding = 12;
  return code == kNsid || code == kCookie || code == kTcpKeepalive || code == kPadding;
}

// Copies the options that travel on. Returns their bytes; 0 if they are malformed or do not fit, so
// that an option is never cut.
size_t CopyOptions(std::span<const uint8_t> options, std::span<uint8_t> out) {
  constexpr size_t kHeader = 4;
  size_t size = 0;
  while (!options.empty()) {
    if (options.size() < kHeader) return 0;
    const size_t bytes = kHeader + Load16(options.data() + 2);
    if (bytes > options.size()) return 0;
    if (!IsHopByHop(Load16(options.data()))) {
      if (size + bytes > out.size()) return 0;
      std::memcpy(out.data() + size, options.data(), bytes);
      size += bytes;
    }
    options = options.subspan(bytes);
  }
  return size;
}

// An OPT record at `out`, which holds kOptBytes or more. Returns its bytes.
size_t WriteOpt(uint16_t udp_payload, uint8_t extended_rcode, bool dnssec_ok,
                std::span<const uint8_t> options, std::span<uint8_t> out) {
  const size_t option_bytes = CopyOptions(options, out.subspan(kOptBytes));
  out[0] = 0;
  Store16(&out[1], wire::type::kOpt);
  Store16(&out[3], udp_payload);
  Store32(&out[5], static_cast<uint32_t>(extended_rcode) << 24 | (dnssec_ok ? kDnssecOk : 0));
  Store16(&out[9], static_cast<uint16_t>(option_bytes));
  return kOptBytes + option_bytes;
}

}  // namespace

void WriteRequest(const wire::Query& query, uint16_t udp_payload, Request& out) {
  uint8_t* at = out.room.data();
  std::memset(at, 0, wire::kHeaderBytes);
  Store16(at + 2, query.flags & kPassedFlags);
  Store16(at + 4, 1);
  Store16(at + 10, 1);
  at += wire::kHeaderBytes;
  std::memcpy(at, query.name.data(), query.name_bytes);
  at += query.name_bytes;
  Store16(at, query.type);
  Store16(at + 2, query.qclass);
  at += 4;
  const size_t used = static_cast<size_t>(at - out.room.data());
  const auto rest = std::span<uint8_t>(out.room).subspan(used);
  out.size = used + WriteOpt(udp_payload, 0, query.dnssec_ok, query.edns_options, rest);
}

void WriteQuestion(std::span<const uint8_t> name, uint16_t type, uint16_t flags, Request& out) {
  uint8_t* at = out.room.data();
  std::memset(at, 0, wire::kHeaderBytes);
  Store16(at + 2, flags);
  Store16(at + 4, 1);
  at += wire::kHeaderBytes;
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  Store16(at, type);
  Store16(at + 2, wire::kClassIn);
  out.size = wire::kHeaderBytes + name.size() + 4;
}

void RandomizeCase(std::span<uint8_t> question, Random& random) {
  constexpr size_t kTypeAndClass = 4;
  uint16_t bits = 0;
  for (size_t i = 0; i + kTypeAndClass < question.size(); ++i) {
    if (i % 16 == 0) bits = random.Next16();
    const uint8_t lower = question[i] | 0x20;
    // Length bytes are below 64 and so no letters.
    if ((bits >> i % 16 & 1) != 0 && question[i] >= 'A' && lower >= 'a' && lower <= 'z') {
      question[i] ^= 0x20;
    }
  }
}

std::span<const uint8_t> QuestionOf(std::span<const uint8_t> request) {
  size_t end = wire::kHeaderBytes;
  while (request[end] != 0) end += 1 + request[end];
  return request.subspan(wire::kHeaderBytes, end + 5 - wire::kHeaderBytes);
}

ReplyCheck ReadReply(std::span<const uint8_t> message, uint16_t id,
                     std::span<const uint8_t> question, Spelling spelling, Reply& out) {
  wire::MessageReader reader(message);
  if (message.size() < wire::kHeaderBytes) return ReplyCheck::kMalformed;
  if (reader.id() != id) return ReplyCheck::kWrongId;
  if (!reader.ok()) return ReplyCheck::kMalformed;
  constexpr uint16_t kOpcode = 0x7800;
  out.flags = reader.flags();
  if ((out.flags & wire::flag::kResponse) == 0 || (out.flags & kOpcode) != 0) {
    return ReplyCheck::kMalformed;
  }
  if (!wire::SameQuestion(reader.question(), question)) return ReplyCheck::kWrongQuestion;
  if (spelling == Spelling::kExact && !std::ranges::equal(reader.question(), question)) {
    return ReplyCheck::kWrongCase;
  }

  out.message = message;
  out.section_end.fill(reader.position());
  out.counts.fill(0);
  out.extended_rcode = 0;
  out.edns_options = {};
  bool opt_seen = false;
  for (wire::MessageRecord record; reader.Next(record);) {
    const size_t section = static_cast<size_t>(record.section);
    if (record.type == wire::type::kOpt) {
      if (opt_seen || record.section != wire::Section::kAdditional) return ReplyCheck::kMalformed;
      opt_seen = true;
      out.extended_rcode = static_cast<uint8_t>(record.ttl >> 24);
      out.edns_options = message.subspan(record.rdata_at, record.rdata_bytes);
    }
    // Nothing behind the OPT record is kept: without the record in between, the compression
    // pointers there would be off. What stands there in practice is a TSIG, which is not for our
    // client.
    if (opt_seen) continue;
    ++out.counts[section];
    for (size_t i = section; i < out.section_end.size(); ++i) out.section_end[i] = record.end();
  }
  return reader.ok() ? ReplyCheck::kOk : ReplyCheck::kMalformed;
}

size_t WriteForClient(const Reply& reply, const wire::Query& query, std::span<uint8_t> room,
                      size_t max_bytes) {
  const size_t limit = std::min(max_bytes, room.size());
  const size_t question_end = wire::kHeaderBytes + query.question.size();
  const size_t opt_bytes = query.edns ? kOptBytes : 0;
  std::array<uint16_t, 3> counts = reply.counts;
  uint16_t flags = reply.flags;
  size_t end = reply.section_end[2];
  if (end + opt_bytes > limit) {
    end = reply.section_end[1];
    counts[2] = 0;
  }
  if (end + opt_bytes > limit) {
    end = question_end;
    counts.fill(0);
    flags |= wire::flag::kTruncated;
  }
  if (!query.edns && reply.extended_rcode != 0) {
    flags = static_cast<uint16_t>((flags & ~15) | static_cast<int>(wire::Rcode::kServFail));
  }

  if (room.data() != reply.message.data()) std::memcpy(room.data(), reply.message.data(), end);
  Store16(&room[0], query.id);
  Store16(&room[2], flags);
  for (size_t i = 0; i < counts.size(); ++i) Store16(&room[6 + 2 * i], counts[i]);
  std::copy(query.question.begin(), query.question.end(), room.begin() + wire::kHeaderBytes);
  if (query.edns) {
    Store16(&room[10], static_cast<uint16_t>(counts[2] + 1));
    end += WriteOpt(wire::kOurUdpPayload, reply.extended_rcode, query.dnssec_ok, reply.edns_options,
                    room.subspan(end, limit - end));
  }
  return end;
}

}  // namespace portolan::dns::upstream
