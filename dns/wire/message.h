// Reads a whole message record by record: replies on their way to a client, and what an upstream
// sent. Bounded by the bytes given, allocates nothing, any thread.
//
//   MessageReader reader(message);
//   for (MessageRecord record; reader.Next(record);) { ... }
//   if (!reader.ok()) ...  // malformed: nothing it gave may be used
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dns/wire/bytes.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::dns::wire {

// Offsets are from the start of the message, so that a record can be changed in place.
struct MessageRecord {
  Section section = Section::kAnswer;
  size_t owner_at = 0;  // for ReadName
  uint16_t type = 0;
  uint16_t rclass = 0;
  uint32_t ttl = 0;
  size_t ttl_at = 0;
  size_t rdata_at = 0;
  size_t rdata_bytes = 0;
  size_t end() const { return rdata_at + rdata_bytes; }
};

class MessageReader {
 public:
  // Reads the header and the question. Not ok() if there are fewer than 12 bytes, more than one
  // question, or one that does not parse.
  explicit MessageReader(std::span<const uint8_t> message);

  bool ok() const { return ok_; }
  uint16_t id() const { return Load16(message_.data()); }
  uint16_t flags() const { return Load16(message_.data() + 2); }
  // The header's four bits, without those in an OPT record.
  uint16_t rcode() const { return flags() & 15; }
  size_t count(Section section) const {
    return Load16(message_.data() + 6 + 2 * static_cast<size_t>(section));
  }

  // Name, type and class as sent; empty when the message has no question. The name may not be
  // compressed.
  std::span<const uint8_t> question() const { return question_; }
  uint16_t question_type() const { return Load16(question_.data() + question_.size() - 4); }
  uint16_t question_class() const { return Load16(question_.data() + question_.size() - 2); }

  // The next record (OPT among them), false at the end. When the message breaks off within a record
  // ok() turns false.
  bool Next(MessageRecord& record);

  // Where the last record read ends; behind the question before the first.
  size_t position() const { return at_; }

 private:
  std::span<const uint8_t> message_;
  std::span<const uint8_t> question_;
  size_t at_ = 0;
  size_t left_[3] = {};
  bool ok_ = false;
};

// True if two questions (name, type and class, uncompressed) are the same but for letter case.
bool SameQuestion(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace portolan::dns::wire
