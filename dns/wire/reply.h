// Writes one reply into a caller's buffer: the question echoed as it was sent, records whose owners
// point back at names already written, and the OPT record.
//
// RFC 1035 4.1, RFC 6891 (OPT, upper bits of the rcode), RFC 2181 9 (truncation: records are kept
// or dropped whole, and TC says that some are missing). Allocates nothing; one thread at a time.
//
//   ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
//   auto rdata = reply.Add(Section::kAnswer, kQuestionName, type::kA, ttl, 4);
//   if (!rdata.empty()) std::copy(..., rdata.begin());
//   exchange.set_reply_bytes(reply.Finish(Rcode::kNoError, flag::kAuthoritative));
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dns/wire/query.h"

namespace portolan::dns::wire {

namespace flag {
inline constexpr uint16_t kResponse = 0x8000, kAuthoritative = 0x0400, kTruncated = 0x0200,
                          kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080,
                          kAuthenticData = 0x0020, kCheckingDisabled = 0x0010;
}  // namespace flag

// The payload size in our OPT records (what we take; DNS flag day 2020).
inline constexpr uint16_t kOurUdpPayload = 1232;
// Any buffer for a reply is at least this large: header, the longest question and the OPT record.
inline constexpr size_t kMinReplyRoom = 512;

enum class Section : uint8_t { kAnswer, kAuthority, kAdditional };

// Where the name of the question stands in every reply, for `owner_at` below.
inline constexpr uint16_t kQuestionName = kHeaderBytes;
// The part of that name that begins at its label number `label`: the zone, say.
inline uint16_t QuestionSuffix(const Query& query, size_t label) {
  return static_cast<uint16_t>(kHeaderBytes + query.label_at[label]);
}

class ReplyWriter {
 public:
  // REQUIRES: room.size() >= kMinReplyRoom, max_bytes >= 512. The reply is no longer than either.
  // `query` may be one that did not parse; its question is then left out.
  ReplyWriter(const Query& query, std::span<uint8_t> room, size_t max_bytes);

  // Appends a record of the question's class with room for `rdata_bytes` (at least 1), to be filled
  // by the caller; `owner_at` is the offset of its owner name in the reply. Empty if it does not
  // fit: TC is set (unless the section is kAdditional), and all further records are refused, so
  // that a reply never has a gap. Sections must come in order.
  std::span<uint8_t> Add(Section section, uint16_t owner_at, uint16_t rr_type, uint32_t ttl,
                         size_t rdata_bytes);
  // The same with an owner that is not in the reply yet, in wire form.
  std::span<uint8_t> Add(Section section, std::span<const uint8_t> owner, uint16_t rr_type,
                         uint32_t ttl, size_t rdata_bytes);

  // Appends one record for each `rdata_bytes` of `rdatas`; takes as many as fit. Returns how many.
  size_t AddSet(Section section, uint16_t owner_at, uint16_t rr_type, uint32_t ttl,
                std::span<const uint8_t> rdatas, size_t rdata_bytes);

  // The offset of a byte in room(), to point at it as an owner: of a CNAME's target, for one.
  uint16_t OffsetOf(const uint8_t* byte) const { return static_cast<uint16_t>(byte - room_); }

  // Writes OPT (if the query had one) and the header: QR, the query's opcode, RD and CD, `flags` on
  // top (AA, RA; TC is added where records were refused), AD clear. Returns the reply's length.
  size_t Finish(Rcode rcode, uint16_t flags);

  // Whether a record of so many bytes, its owner among them, has room.
  bool Fits(size_t record_bytes) const { return !full_ && record_bytes <= limit_ - size_; }

  size_t answer_count() const { return counts_[0]; }
  bool truncated() const { return truncated_; }

 private:
  uint8_t* Reserve(Section section, size_t bytes);

  const Query& query_;
  uint8_t* room_;
  size_t limit_;  // without the OPT record
  size_t size_;
  uint16_t counts_[3] = {};
  bool full_ = false;
  bool truncated_ = false;
};

// A reply without records. Returns its length. Works for queries that did not parse.
size_t WriteEmptyReply(const Query& query, std::span<uint8_t> room, Rcode rcode,
                       uint16_t flags = 0);

}  // namespace portolan::dns::wire
