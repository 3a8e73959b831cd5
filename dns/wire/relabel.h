// Makes a reply to one question the reply to another: what `autopath`, `rewrite` and `dns64` do
// with the answer to what they asked in the client's place.
//
// The old reply is read record by record; the caller may change a record's owner, TTL or value,
// keep it, leave it out, or put others in front. All names are written anew, compressed (RFC
// 1035 4.1.4; RFC 3597 4 where they may not be), so that nothing points into the old message. Id,
// opcode, RD and CD are the new question's; rcode, AA, TC, RA and the options of the OPT record the
// old reply's; AD is clear, since nobody has validated what is made here. Records are kept or
// dropped whole: what does not fit is left out and TC says so, unless it is of the additional
// section.
//
// Records of types that hold names in a way not known here (SIG, NXT, A6: all obsolete) are left
// out; those of other unknown types are copied, since they hold no compressed names (RFC 3597 4).
// Untrusted bytes; bounded; nothing allocates, but it takes 70 KB of stack. Any thread.
//
//   Relabel relabel(exchange.reply(), exchange.query(), exchange.room(), max_bytes);
//   while (relabel.Next()) {
//     if (relabel.owner() is ...) relabel.set_ttl(5);
//     relabel.Keep();
//   }
//   const size_t bytes = relabel.Finish();  // 0: the old reply is malformed
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::dns::wire {

class Relabel {
 public:
  // `reply` may stand in `room`: it is copied first. REQUIRES: room.size() >= kMinReplyRoom,
  // max_bytes >= 512, `query` was parsed.
  Relabel(std::span<const uint8_t> reply, const Query& query, std::span<uint8_t> room,
          size_t max_bytes);
  Relabel(const Relabel&) = delete;
  Relabel& operator=(const Relabel&) = delete;

  // The old reply's, as long as ok().
  bool ok() const { return ok_; }
  uint16_t rcode() const { return static_cast<uint16_t>(extended_rcode_ << 4 | (flags_ & 15)); }
  void set_rcode(uint16_t rcode);
  // Of the OPT record; what is set stays readable until Finish.
  std::span<const uint8_t> options() const { return options_; }
  void set_options(std::span<const uint8_t> options) { options_ = options; }

  // Goes to the next record of the old reply, OPT left out. False at the end, and where it turns
  // out to be malformed.
  bool Next();

  const MessageRecord& record() const { return record_; }
  std::span<const uint8_t> rdata() const {
    return old().subspan(record_.rdata_at, record_.rdata_bytes);
  }
  NameBuffer& owner() { return owner_; }
  void set_ttl(uint32_t ttl) { record_.ttl = ttl; }

  // The name that the record is about: the target of CNAME, DNAME, NS, PTR, MX, SRV and NAPTR, the
  // first server of an SOA. Null for other types. A change of it is kept.
  NameBuffer* value() { return has_value_ ? &value_ : nullptr; }

  // Writes the record as it is by now.
  void Keep();
  // Writes one with other data, of class IN. `rdata` holds no name that could be compressed.
  void Add(Section section, std::span<const uint8_t> owner, uint16_t type, uint32_t ttl,
           std::span<const uint8_t> rdata);
  void AddCname(std::span<const uint8_t> owner, uint32_t ttl, std::span<const uint8_t> target);

  // Writes header and OPT record (if the question came with one). The length of the reply; 0 if the
  // old one is malformed: nothing in the room may be used then.
  size_t Finish();

 private:
  // Where a name, or the tail of one, stands in the new reply; nowhere if `at` is 0.
  struct Tail {
    uint16_t at = 0;
    uint16_t hash = 0;
  };

  std::span<const uint8_t> old() const { return std::span(copy_).first(old_bytes_); }
  bool ReadOpt();
  bool ReadValue();
  // False if the record is malformed.
  bool PutRdata();
  void PutBytes(std::span<const uint8_t> bytes);
  void PutName(std::span<const uint8_t> name, bool compress);
  bool IsAt(uint16_t at, std::span<const uint8_t> name) const;
  void BeginRecord(std::span<const uint8_t> owner, uint16_t type, uint16_t rclass, uint32_t ttl);
  void EndRecord(Section section);

  const Query& query_;
  std::span<uint8_t> room_;
  size_t limit_;  // without the bare OPT record
  size_t old_bytes_;
  std::array<uint8_t, kMaxMessageBytes> copy_;
  MessageReader reader_;
  bool ok_ = false;
  uint16_t flags_ = 0;
  uint8_t extended_rcode_ = 0;
  std::span<const uint8_t> options_;

  MessageRecord record_;
  NameBuffer owner_;
  NameBuffer value_;
  bool has_value_ = false;

  size_t size_;  // of what is written
  size_t record_begin_ = 0;
  size_t length_at_ = 0;  // of the record's RDATA
  std::array<uint16_t, 3> counts_{};
  bool full_ = false;  // the record that is written does not fit
  bool truncated_ = false;
  // By hash, the newest of each.
  std::array<Tail, 128> tails_{};
};

}  // namespace portolan::dns::wire
