// What changes in a message between our client and an upstream, in both directions.
//
// EDNS is hop by hop (RFC 6891 6.1.1): upstreams get an OPT record of ours, clients one of ours if
// they sent one. Untrusted bytes; bounded; nothing allocates. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dns/upstream/random.h"
#include "dns/wire/message.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::dns::upstream {

// What an upstream is asked. Two clients whose bytes are equal ask the same and can share one
// answer: letter case and id are left out, everything that may change the answer is in.
struct Request {
  static constexpr size_t kMaxBytes = 1024;

  std::array<uint8_t, kMaxBytes> room;
  size_t size = 0;

  std::span<const uint8_t> bytes() const { return {room.data(), size}; }
};

// Header (id 0; RD, AD and CD as the client's), the question in lower case, an OPT record with the
// payload size given, the client's DO bit and those of its options that are not for us alone
// (cookies, keepalive, padding and NSID stay). REQUIRES: ParseQuery gave kQuery.
void WriteRequest(const wire::Query& query, uint16_t udp_payload, Request& out);

// The question in what WriteRequest wrote.
std::span<const uint8_t> QuestionOf(std::span<const uint8_t> request);

// A question of our own, such as a probe's: no OPT record. `name` is in lower case.
void WriteQuestion(std::span<const uint8_t> name, uint16_t type, uint16_t flags, Request& out);

enum class ReplyCheck : uint8_t { kOk, kWrongId, kWrongQuestion, kWrongCase, kMalformed };

// Whether the letter case of a reply's question counts. An upstream may fold it, so that it does
// only where the operator says that his upstream does not (0x20, draft-vixie-dnsext-dns0x20).
enum class Spelling : uint8_t { kAny, kExact };

// Turns the case of each letter of the question's name at random.
void RandomizeCase(std::span<uint8_t> question, Random& random);

// An upstream's reply with the places where it may be cut.
struct Reply {
  std::span<const uint8_t> message;
  uint16_t flags = 0;
  std::array<size_t, 3>
      section_end{};  // answer, authority, additional without OPT and what follows
  std::array<uint16_t, 3> counts{};
  uint8_t extended_rcode = 0;  // the upper bits, from the OPT record
  std::span<const uint8_t> edns_options;

  bool truncated() const { return (flags & wire::flag::kTruncated) != 0; }
  uint16_t rcode() const { return static_cast<uint16_t>(extended_rcode << 4 | (flags & 15)); }
  // NOERROR without an answer.
  bool nodata() const { return rcode() == 0 && counts[0] == 0; }
};

// Whether `message` answers the question sent under `id`. `out` points into `message` and is whole
// only for kOk.
ReplyCheck ReadReply(std::span<const uint8_t> message, uint16_t id,
                     std::span<const uint8_t> question, Spelling spelling, Reply& out);

// The reply as the client must see it: its id and its spelling of the name, OPT only if it sent
// one, and no more than `max_bytes` (and room.size()): first the additional section goes, then all
// sections and TC is set (RFC 2181 9). AA, RA and AD stay the upstream's. Returns the length.
// REQUIRES: room holds 512 bytes. The message may stand at the front of the room already.
size_t WriteForClient(const Reply& reply, const wire::Query& query, std::span<uint8_t> room,
                      size_t max_bytes);

}  // namespace portolan::dns::upstream
