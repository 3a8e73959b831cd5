#include "dns/wire/reply.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "dns/wire/bytes.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kOptBytes = 11;
constexpr size_t kFixedBytes = 10;  // type, class, TTL, length

void WriteFixed(uint8_t* at, uint16_t rr_type, uint16_t rr_class, uint32_t ttl,
                size_t rdata_bytes) {
  Store16(at, rr_type);
  Store16(at + 2, rr_class);
  Store32(at + 4, ttl);
  Store16(at + 8, static_cast<uint16_t>(rdata_bytes));
}

}  // namespace

ReplyWriter::ReplyWriter(const Query& query, std::span<uint8_t> room, size_t max_bytes)
    : query_(query), room_(room.data()), size_(kHeaderBytes + query.question.size()) {
  assert(room.size() >= kMinReplyRoom && max_bytes >= kMinUdpPayload);
  limit_ = std::min({room.size(), max_bytes, kMaxMessageBytes});
  if (query.edns) limit_ -= kOptBytes;
  if (!query.question.empty()) {
    std::memcpy(room_ + kHeaderBytes, query.question.data(), query.question.size());
  }
}

uint8_t* ReplyWriter::Reserve(Section section, size_t bytes) {
  if (full_ || bytes > limit_ - size_) {
    full_ = true;
    if (section != Section::kAdditional) truncated_ = true;
    return nullptr;
  }
  uint8_t* at = room_ + size_;
  size_ += bytes;
  ++counts_[static_cast<size_t>(section)];
  return at;
}

std::span<uint8_t> ReplyWriter::Add(Section section, uint16_t owner_at, uint16_t rr_type,
                                    uint32_t ttl, size_t rdata_bytes) {
  uint8_t* at = Reserve(section, 2 + kFixedBytes + rdata_bytes);
  if (at == nullptr) return {};
  assert(owner_at < 0x4000);
  Store16(at, static_cast<uint16_t>(0xc000 | owner_at));
  WriteFixed(at + 2, rr_type, query_.qclass, ttl, rdata_bytes);
  return {at + 2 + kFixedBytes, rdata_bytes};
}

std::span<uint8_t> ReplyWriter::Add(Section section, std::span<const uint8_t> owner,
                                    uint16_t rr_type, uint32_t ttl, size_t rdata_bytes) {
  uint8_t* at = Reserve(section, owner.size() + kFixedBytes + rdata_bytes);
  if (at == nullptr) return {};
  std::memcpy(at, owner.data(), owner.size());
  WriteFixed(at + owner.size(), rr_type, query_.qclass, ttl, rdata_bytes);
  return {at + owner.size() + kFixedBytes, rdata_bytes};
}

size_t ReplyWriter::AddSet(Section section, uint16_t owner_at, uint16_t rr_type, uint32_t ttl,
                           std::span<const uint8_t> rdatas, size_t rdata_bytes) {
  const size_t record_bytes = 2 + kFixedBytes + rdata_bytes;
  size_t added = 0;
  for (size_t from = 0; from + rdata_bytes <= rdatas.size(); from += rdata_bytes) {
    uint8_t* at = Reserve(section, record_bytes);
    if (at == nullptr) break;
    Store16(at, static_cast<uint16_t>(0xc000 | owner_at));
    WriteFixed(at + 2, rr_type, query_.qclass, ttl, rdata_bytes);
    std::memcpy(at + 2 + kFixedBytes, rdatas.data() + from, rdata_bytes);
    ++added;
  }
  return added;
}

size_t ReplyWriter::Finish(Rcode rcode, uint16_t flags) {
  const auto code = static_cast<uint16_t>(rcode);
  uint16_t additional = counts_[2];
  if (query_.edns) {
    uint8_t* opt = room_ + size_;
    opt[0] = 0;
    Store16(opt + 1, type::kOpt);
    Store16(opt + 3, kOurUdpPayload);
    opt[5] = static_cast<uint8_t>(code >> 4);
    opt[6] = 0;
    Store16(opt + 7, query_.dnssec_ok ? 0x8000 : 0);
    Store16(opt + 9, 0);
    size_ += kOptBytes;
    ++additional;
  }
  constexpr uint16_t kKept = 0x7800 | flag::kRecursionDesired | flag::kCheckingDisabled;
  const uint16_t header = static_cast<uint16_t>(flag::kResponse | (query_.flags & kKept) | flags |
                                                (truncated_ ? flag::kTruncated : 0) | (code & 15));
  Store16(room_, query_.id);
  Store16(room_ + 2, header);
  Store16(room_ + 4, query_.question.empty() ? 0 : 1);
  Store16(room_ + 6, counts_[0]);
  Store16(room_ + 8, counts_[1]);
  Store16(room_ + 10, additional);
  return size_;
}

size_t WriteEmptyReply(const Query& query, std::span<uint8_t> room, Rcode rcode, uint16_t flags) {
  return ReplyWriter(query, room, kMinUdpPayload).Finish(rcode, flags);
}

}  // namespace portolan::dns::wire
