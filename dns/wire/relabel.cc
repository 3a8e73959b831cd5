#include "dns/wire/relabel.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "dns/wire/bytes.h"

namespace portolan::dns::wire {
namespace {

constexpr size_t kOptBytes = 11;
constexpr uint16_t kDnssecOk = 0x8000;

uint8_t Lower(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<uint8_t>(byte | 0x20) : byte;
}

// How the RDATA of a type holds names: behind `before` bytes and `strings` character-strings there
// are `names`, and `after` bytes behind them.
struct Shape {
  uint16_t type;
  uint8_t before, strings, names, after;
  bool compress;        // RFC 1035 3.3 alone
  bool first_is_value;  // for Relabel::value
};
constexpr uint8_t kSoaNumbers = 20;
constexpr Shape kShapes[] = {
    {2, 0, 0, 1, 0, true, true},            // NS
    {3, 0, 0, 1, 0, true, false},           // MD
    {4, 0, 0, 1, 0, true, false},           // MF
    {5, 0, 0, 1, 0, true, true},            // CNAME
    {6, 0, 0, 2, kSoaNumbers, true, true},  // SOA
    {7, 0, 0, 1, 0, true, false},           // MB
    {8, 0, 0, 1, 0, true, false},           // MG
    {9, 0, 0, 1, 0, true, false},           // MR
    {12, 0, 0, 1, 0, true, true},           // PTR
    {14, 0, 0, 2, 0, true, false},          // MINFO
    {15, 2, 0, 1, 0, true, true},           // MX
    {17, 0, 0, 2, 0, false, false},         // RP
    {18, 2, 0, 1, 0, false, false},         // AFSDB
    {21, 2, 0, 1, 0, false, false},         // RT
    {26, 2, 0, 2, 0, false, false},         // PX
    {33, 6, 0, 1, 0, false, true},          // SRV
    {35, 4, 3, 1, 0, false, true},          // NAPTR
    {36, 2, 0, 1, 0, false, false},         // KX
    {39, 0, 0, 1, 0, false, true},          // DNAME
};

const Shape* ShapeOf(uint16_t type) {
  const auto* found = std::ranges::find(kShapes, type, &Shape::type);
  return found == std::end(kShapes) ? nullptr : found;
}

bool HoldsNamesUnknownHere(uint16_t type) {
  constexpr uint16_t kSig = 24, kNxt = 30, kA6 = 38;
  return type == kSig || type == kNxt || type == kA6;
}

// Where the names of `rdata` begin, from its start; 0 < result only if they lie within.
size_t NamesAt(std::span<const uint8_t> rdata, const Shape& shape) {
  size_t at = shape.before;
  for (size_t i = 0; i < shape.strings && at < rdata.size(); ++i) at += size_t{1} + rdata[at];
  return at;
}

}  // namespace

Relabel::Relabel(std::span<const uint8_t> reply, const Query& query, std::span<uint8_t> room,
                 size_t max_bytes)
    : query_(query),
      room_(room),
      limit_(std::min({room.size(), max_bytes, kMaxMessageBytes}) - (query.edns ? kOptBytes : 0)),
      old_bytes_(std::min(reply.size(), kMaxMessageBytes)),
      reader_({}),
      size_(kHeaderBytes) {
  assert(room.size() >= kMinReplyRoom && max_bytes >= kMinUdpPayload);
  std::memcpy(copy_.data(), reply.data(), old_bytes_);
  reader_ = MessageReader(old());
  ok_ = reader_.ok();
  if (!ok_) return;
  flags_ = reader_.flags();
  ok_ = ReadOpt();
  const auto question = query.question;
  PutName(question.first(question.size() - 4), false);
  PutBytes(question.last(4));
}

// The OPT record stands behind the records that need its upper bits of the rcode.
bool Relabel::ReadOpt() {
  MessageReader reader = reader_;
  for (MessageRecord record; reader.Next(record);) {
    if (record.type != type::kOpt) continue;
    extended_rcode_ = static_cast<uint8_t>(record.ttl >> 24);
    options_ = old().subspan(record.rdata_at, record.rdata_bytes);
  }
  return reader.ok();
}

void Relabel::set_rcode(uint16_t rcode) {
  flags_ = static_cast<uint16_t>((flags_ & ~15) | (rcode & 15));
  extended_rcode_ = static_cast<uint8_t>(rcode >> 4);
}

bool Relabel::Next() {
  do {
    if (!ok_ || !reader_.Next(record_)) return false;
  } while (record_.type == type::kOpt || HoldsNamesUnknownHere(record_.type));
  has_value_ = false;
  ok_ = ReadName(old(), record_.owner_at, owner_) != 0 && ReadValue();
  return ok_;
}

bool Relabel::ReadValue() {
  const Shape* shape = ShapeOf(record_.type);
  if (shape == nullptr || !shape->first_is_value) return true;
  const size_t at = record_.rdata_at + NamesAt(rdata(), *shape);
  has_value_ = true;
  return at < record_.end() && ReadName(old(), at, value_) != 0;
}

void Relabel::Keep() {
  if (full_ || !ok_) return;
  BeginRecord(owner_.view(), record_.type, record_.rclass, record_.ttl);
  ok_ = PutRdata();
  EndRecord(record_.section);
}

bool Relabel::PutRdata() {
  const Shape* shape = ShapeOf(record_.type);
  if (shape == nullptr) {
    PutBytes(rdata());
    return true;
  }
  const size_t before = NamesAt(rdata(), *shape);
  if (before >= record_.rdata_bytes) return false;
  PutBytes(rdata().first(before));
  size_t at = record_.rdata_at + before;
  for (size_t i = 0; i < shape->names; ++i) {
    NameBuffer name;
    at = ReadName(old(), at, name);
    if (at == 0 || at > record_.end()) return false;
    const bool is_value = i == 0 && shape->first_is_value;
    PutName(is_value ? value_.view() : name.view(), shape->compress);
  }
  if (record_.end() - at != shape->after) return false;
  PutBytes(old().subspan(at, shape->after));
  return true;
}

void Relabel::Add(Section section, std::span<const uint8_t> owner, uint16_t type, uint32_t ttl,
                  std::span<const uint8_t> rdata) {
  if (full_ || !ok_) return;
  BeginRecord(owner, type, kClassIn, ttl);
  PutBytes(rdata);
  EndRecord(section);
}

void Relabel::AddCname(std::span<const uint8_t> owner, uint32_t ttl,
                       std::span<const uint8_t> target) {
  if (full_ || !ok_) return;
  BeginRecord(owner, type::kCname, kClassIn, ttl);
  PutName(target, true);
  EndRecord(Section::kAnswer);
}

void Relabel::BeginRecord(std::span<const uint8_t> owner, uint16_t type, uint16_t rclass,
                          uint32_t ttl) {
  record_begin_ = size_;
  PutName(owner, true);
  std::array<uint8_t, 10> fixed{};
  Store16(&fixed[0], type);
  Store16(&fixed[2], rclass);
  Store32(&fixed[4], ttl);
  length_at_ = size_ + 8;
  PutBytes(fixed);
}

void Relabel::EndRecord(Section section) {
  if (full_) {
    size_ = record_begin_;
    if (section != Section::kAdditional) truncated_ = true;
    return;
  }
  Store16(&room_[length_at_], static_cast<uint16_t>(size_ - length_at_ - 2));
  ++counts_[static_cast<size_t>(section)];
}

void Relabel::PutBytes(std::span<const uint8_t> bytes) {
  full_ = full_ || bytes.size() > limit_ - size_;
  if (full_) return;
  std::copy(bytes.begin(), bytes.end(), room_.begin() + static_cast<ptrdiff_t>(size_));
  size_ += bytes.size();
}

// Writes the labels in front of the longest tail that stands in the reply already, and remembers
// the new tails.
void Relabel::PutName(std::span<const uint8_t> name, bool compress) {
  std::array<uint8_t, kMaxLabels + 1> label_at;
  std::array<uint16_t, kMaxLabels + 1> hash;
  size_t labels = 0;
  for (size_t at = 0; name[at] != 0; at += size_t{1} + name[at]) {
    label_at[labels++] = static_cast<uint8_t>(at);
  }
  uint32_t h = 0;
  for (size_t at = name.size() - 1, label = labels; label > 0;) {
    h = h * 31 + Lower(name[--at]);
    if (at == label_at[label - 1]) hash[--label] = static_cast<uint16_t>(h ^ h >> 16);
  }
  size_t known = labels;
  for (size_t label = 0; compress && label < labels && known == labels; ++label) {
    const Tail& tail = tails_[hash[label] % tails_.size()];
    const bool same = tail.at != 0 && tail.hash == hash[label];
    if (same && IsAt(tail.at, name.subspan(label_at[label]))) known = label;
  }
  const size_t begin = size_;
  if (known == labels) {
    PutBytes(name);
  } else {
    const uint16_t pointer = tails_[hash[known] % tails_.size()].at | 0xc000;
    const std::array<uint8_t, 2> bytes = {static_cast<uint8_t>(pointer >> 8),
                                          static_cast<uint8_t>(pointer)};
    PutBytes(name.first(label_at[known]));
    PutBytes(bytes);
  }
  for (size_t label = 0; label < known && begin + label_at[label] < 0x4000 && !full_; ++label) {
    tails_[hash[label] % tails_.size()] = {static_cast<uint16_t>(begin + label_at[label]),
                                           hash[label]};
  }
}

bool Relabel::IsAt(uint16_t at, std::span<const uint8_t> name) const {
  NameBuffer there;
  if (ReadName(room_.first(size_), at, there) == 0) return false;
  return std::ranges::equal(there.view(), name, {}, Lower, Lower);
}

size_t Relabel::Finish() {
  while (ok_ && Next()) {
  }
  if (!ok_) return 0;
  uint16_t rcode_bits = flags_ & 15;
  uint16_t additional = counts_[2];
  if (query_.edns) {
    const bool fits = options_.size() <= limit_ - size_;
    uint8_t* opt = &room_[size_];
    opt[0] = 0;
    Store16(opt + 1, type::kOpt);
    Store16(opt + 3, kOurUdpPayload);
    Store32(opt + 5,
            static_cast<uint32_t>(extended_rcode_) << 24 | (query_.dnssec_ok ? kDnssecOk : 0u));
    Store16(opt + 9, static_cast<uint16_t>(fits ? options_.size() : 0));
    size_ += kOptBytes;
    if (fits) {
      std::copy(options_.begin(), options_.end(), opt + kOptBytes);
      size_ += options_.size();
    }
    ++additional;
  } else if (extended_rcode_ != 0) {
    rcode_bits = static_cast<uint16_t>(Rcode::kServFail);
  }
  constexpr uint16_t kFromQuery = 0x7800 | flag::kRecursionDesired | flag::kCheckingDisabled;
  constexpr uint16_t kFromReply =
      flag::kAuthoritative | flag::kTruncated | flag::kRecursionAvailable;
  Store16(&room_[0], query_.id);
  Store16(&room_[2], static_cast<uint16_t>(flag::kResponse | (query_.flags & kFromQuery) |
                                           (flags_ & kFromReply) |
                                           (truncated_ ? flag::kTruncated : 0) | rcode_bits));
  Store16(&room_[4], 1);
  for (size_t i = 0; i < 2; ++i) Store16(&room_[6 + 2 * i], counts_[i]);
  Store16(&room_[10], additional);
  return size_;
}

}  // namespace portolan::dns::wire
