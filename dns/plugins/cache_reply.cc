#include "dns/plugins/cache_reply.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using wire::Rcode;
using wire::Section;
namespace rr = wire::type;

constexpr uint32_t kLeastTtl = 5, kMostTtl = 3600;
constexpr size_t kSoaNumbersBytes = 20;

// What Sort and the lifetime go by.
struct Seen {
  bool soa = false;
  bool ns = false;
  uint32_t ttl = kMostTtl;
};

// How many labels the name at `at` has. False if it is malformed.
bool ReadLabels(std::span<const uint8_t> message, size_t at, wire::NameBuffer& name,
                size_t& labels) {
  if (wire::ReadName(message, at, name) == 0) return false;
  wire::LowerName(std::span(name.bytes).first(name.size));
  labels = 0;
  for (size_t i = 0; name.bytes[i] != 0; i += size_t{1} + name.bytes[i]) ++labels;
  return true;
}

// Whether `name`, of so many labels, is the name asked or above it.
bool Holds(const wire::NameBuffer& name, size_t labels, const wire::Query& query) {
  if (labels > query.labels) return false;
  const size_t at = query.label_at[query.labels - labels];
  return std::ranges::equal(name.view(), query.lower_name().subspan(at));
}

ReplySort Sort(const upstream::Reply& reply, const Seen& seen) {
  const bool no_error = reply.rcode() == static_cast<uint16_t>(Rcode::kNoError);
  if (no_error && reply.counts[0] > 0) return ReplySort::kNoError;
  if (no_error && seen.soa) return ReplySort::kNoData;
  if (reply.rcode() == static_cast<uint16_t>(Rcode::kNxDomain)) {
    return seen.soa ? ReplySort::kNxDomain : ReplySort::kOther;
  }
  if (reply.rcode() == static_cast<uint16_t>(Rcode::kServFail) ||
      reply.rcode() == static_cast<uint16_t>(Rcode::kNotImp)) {
    return ReplySort::kServerError;
  }
  if (!no_error) return ReplySort::kOther;
  return seen.ns ? ReplySort::kDelegation : ReplySort::kNoError;
}

bool HasLifetime(ReplySort sort) {
  return sort == ReplySort::kNoError || sort == ReplySort::kNoData || sort == ReplySort::kNxDomain;
}

}  // namespace

bool ReadForCache(std::span<const uint8_t> message, const wire::Query& query, CacheableReply& out) {
  if (upstream::ReadReply(message, query.id, query.question, upstream::Spelling::kAny, out.reply) !=
      upstream::ReplyCheck::kOk) {
    return false;
  }
  Seen seen;
  size_t records = 0;
  out.ttls = 0;
  wire::MessageReader reader(message);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.end() > out.reply.section_end[2] || record.type == rr::kOpt) break;
    ++records;
    seen.ttl = std::min(seen.ttl, record.ttl);
    if (out.ttls < out.ttl_at.size()) {
      out.ttl_at[out.ttls++] = static_cast<uint16_t>(record.ttl_at);
    }
    if (record.section != Section::kAuthority) continue;
    seen.ns = seen.ns || record.type == rr::kNs;
    if (record.type != rr::kSoa) continue;
    seen.soa = true;
    wire::NameBuffer owner;
    if (!ReadLabels(message, record.owner_at, owner, out.soa_labels)) return false;
    if (!Holds(owner, out.soa_labels, query)) out.soa_labels = CacheableReply::kElsewhere;
  }
  out.sort = Sort(out.reply, seen);
  out.ttl = records > 0 && HasLifetime(out.sort) ? seen.ttl : kLeastTtl;
  return true;
}

void SetTtls(std::span<uint8_t> message, uint32_t ttl) {
  wire::MessageReader reader(message);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.type != rr::kOpt) wire::Store32(&message[record.ttl_at], ttl);
  }
}

size_t WriteDenialBelow(std::span<const uint8_t> message, const wire::Query& query, uint32_t ttl,
                        uint16_t flags, std::span<uint8_t> room, size_t max_bytes) {
  wire::MessageReader reader(message);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != Section::kAuthority || record.type != rr::kSoa) continue;
    size_t owner_labels = 0;
    wire::NameBuffer owner, server, person;
    if (!ReadLabels(message, record.owner_at, owner, owner_labels)) return 0;
    if (!Holds(owner, owner_labels, query)) return 0;
    const size_t person_at = wire::ReadName(message, record.rdata_at, server);
    if (person_at == 0) return 0;
    const size_t numbers_at = wire::ReadName(message, person_at, person);
    if (numbers_at == 0 || numbers_at + kSoaNumbersBytes != record.end()) return 0;
    wire::ReplyWriter writer(query, room, max_bytes);
    const auto rdata =
        writer.Add(Section::kAuthority, wire::QuestionSuffix(query, query.labels - owner_labels),
                   rr::kSoa, ttl, size_t{server.size} + person.size + kSoaNumbersBytes);
    if (!rdata.empty()) {
      auto at = std::copy_n(server.bytes.begin(), server.size, rdata.begin());
      at = std::copy_n(person.bytes.begin(), person.size, at);
      std::copy_n(message.begin() + static_cast<ptrdiff_t>(numbers_at), kSoaNumbersBytes, at);
    }
    return writer.Finish(Rcode::kNxDomain, flags);
  }
  return 0;
}

}  // namespace portolan::dns
