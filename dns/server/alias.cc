#include "dns/server/alias.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using wire::Section;
namespace rr = wire::type;

// More is a circle or an attack; clients give up earlier.
constexpr size_t kMaxCnames = 16;
// What the reply set aside says of who answers.
constexpr uint16_t kOurFlags = wire::flag::kAuthoritative | wire::flag::kRecursionAvailable;

void Lower(wire::NameBuffer& name) { wire::LowerName(std::span(name.bytes).first(name.size)); }

// The target of the last CNAME in the answer, in lower case.
bool LastTarget(std::span<const uint8_t> reply, wire::NameBuffer& target) {
  wire::MessageReader reader(reply);
  bool found = false;
  for (wire::MessageRecord record; reader.Next(record) && record.section == Section::kAnswer;) {
    if (record.type != rr::kCname) continue;
    if (wire::ReadName(reply, record.rdata_at, target) != record.end()) return false;
    found = true;
  }
  Lower(target);
  return found && reader.ok();
}

// The records of one alias after another, and at last those of the type asked.
class AliasChain {
 public:
  AliasChain(const wire::Query& asked, std::span<uint8_t> room, size_t max_bytes)
      : type_(asked.type), writer_(asked, room, max_bytes) {
    std::copy_n(asked.name.begin(), asked.name_bytes, owner_.bytes.begin());
    owner_.size = asked.name_bytes;
  }

  // The answer of `reply` as far as it goes on from what was added. False if it is malformed.
  bool Add(std::span<const uint8_t> reply) {
    wire::MessageReader reader(reply);
    for (wire::MessageRecord record; reader.Next(record) && record.section == Section::kAnswer;) {
      if (record.rclass != wire::kClassIn) continue;
      if (record.type != type_ && record.type != rr::kCname) continue;
      wire::NameBuffer owner;
      if (wire::ReadName(reply, record.owner_at, owner) == 0) return false;
      Lower(owner);
      if (!std::ranges::equal(owner.view(), owner_.view())) continue;
      const bool good =
          record.type == rr::kCname ? AddCname(reply, record) : AddAddress(reply, record);
      if (!good) return false;
    }
    return reader.ok();
  }

  size_t Finish(uint16_t flags) { return writer_.Finish(wire::Rcode::kNoError, flags); }

 private:
  bool AddCname(std::span<const uint8_t> reply, const wire::MessageRecord& record) {
    // RFC 1034 3.6.2: a name with a CNAME has nothing else.
    if (at_end_ || ++cnames_ > kMaxCnames) return false;
    wire::NameBuffer target;
    if (wire::ReadName(reply, record.rdata_at, target) != record.end()) return false;
    const auto rdata =
        writer_.Add(Section::kAnswer, owner_at_, rr::kCname, record.ttl, target.size);
    if (rdata.empty()) return true;  // truncated, and so is all that follows
    std::copy_n(target.bytes.begin(), target.size, rdata.begin());
    owner_at_ = writer_.OffsetOf(rdata.data());
    owner_ = target;
    Lower(owner_);
    return true;
  }

  bool AddAddress(std::span<const uint8_t> reply, const wire::MessageRecord& record) {
    if (record.rdata_bytes != (type_ == rr::kA ? 4u : 16u)) return false;
    at_end_ = true;
    const auto rdata =
        writer_.Add(Section::kAnswer, owner_at_, type_, record.ttl, record.rdata_bytes);
    std::copy_n(reply.begin() + static_cast<ptrdiff_t>(record.rdata_at), rdata.size(),
                rdata.begin());
    return true;
  }

  const uint16_t type_;
  wire::ReplyWriter writer_;
  wire::NameBuffer owner_;  // lower case
  uint16_t owner_at_ = wire::kQuestionName;
  size_t cnames_ = 0;
  bool at_end_ = false;  // an address was added
};

}  // namespace

bool BeginAlias(Exchange& exchange) {
  const wire::Query& asked = exchange.query();
  const std::span<const uint8_t> reply = exchange.reply();
  const bool address = asked.type == rr::kA || asked.type == rr::kAaaa;
  const bool cut = (wire::Load16(reply.data() + 2) & wire::flag::kTruncated) != 0;
  wire::NameBuffer target;
  return address && !cut && LastTarget(reply, target) && exchange.BeginAlias(target.view());
}

void EndAlias(Exchange& exchange) {
  // The new reply takes the place of both.
  std::array<uint8_t, wire::kMaxMessageBytes> copy;
  const size_t ours_bytes = exchange.aside().size();
  const std::span<const uint8_t> ours = std::span(copy).first(ours_bytes);
  const std::span<const uint8_t> theirs =
      std::span(copy).subspan(ours_bytes, exchange.reply().size());
  std::memcpy(copy.data(), exchange.aside().data(), ours.size());
  std::memcpy(copy.data() + ours_bytes, exchange.reply().data(), theirs.size());

  exchange.EndAlias();
  uint16_t flags = wire::Load16(&ours[2]) & kOurFlags;
  AliasChain chain(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  if (theirs.size() < wire::kHeaderBytes || !chain.Add(ours) || !chain.Add(theirs)) {
    std::memcpy(exchange.room().data(), ours.data(), ours.size());
    exchange.set_reply_bytes(ours.size());
    return;
  }
  flags |= wire::Load16(&theirs[2]) & wire::flag::kTruncated;
  exchange.set_reply_bytes(chain.Finish(flags));
}

}  // namespace portolan::dns
