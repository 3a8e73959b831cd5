#include "proxy/policy/answer_addresses.h"

#include "dns/wire/bytes.h"
#include "dns/wire/name.h"

namespace portolan::proxy {
namespace {

namespace wire = dns::wire;
namespace rr = dns::wire::type;

constexpr uint16_t kSvcb = 64, kHttps = 65;
constexpr uint16_t kIpv4Hint = 4, kIpv6Hint = 6;
constexpr size_t kV4Bytes = 4, kV6Bytes = 16;

}  // namespace

bool AnswerAddresses::Next(Address& out) {
  while (addresses_.size() < width_) {
    if (!NextHint() && !NextRecord()) return false;
  }
  out.ip = width_ == kV4Bytes ? IpAddress::V4(addresses_.first<kV4Bytes>())
                              : IpAddress::V6(addresses_.first<kV6Bytes>());
  out.ttl = ttl_;
  addresses_ = addresses_.subspan(width_);
  return true;
}

bool AnswerAddresses::NextRecord() {
  addresses_ = params_ = {};
  wire::MessageRecord record;
  if (!reader_.Next(record) || record.section != wire::Section::kAnswer) return false;
  if (record.rclass != wire::kClassIn) return true;
  // RFC 2181 8: with the topmost bit it is zero.
  ttl_ = absl::Seconds(record.ttl > INT32_MAX ? 0 : record.ttl);
  const Bytes rdata = reply_.subspan(record.rdata_at, record.rdata_bytes);
  if (record.type == kSvcb || record.type == kHttps) {
    params_ = SvcParams(rdata);
  } else if ((record.type == rr::kA && rdata.size() == kV4Bytes) ||
             (record.type == rr::kAaaa && rdata.size() == kV6Bytes)) {
    addresses_ = rdata;
    width_ = rdata.size();
  }
  return true;
}

AnswerAddresses::Bytes AnswerAddresses::SvcParams(Bytes rdata) {
  constexpr size_t kPriorityBytes = 2;
  if (rdata.size() <= kPriorityBytes) return {};
  // The target is not compressed (RFC 9460 2.2).
  const size_t end = wire::SkipName(rdata, kPriorityBytes);
  return end == 0 ? Bytes() : rdata.subspan(end);
}

bool AnswerAddresses::NextHint() {
  constexpr size_t kKeyBytes = 2, kLengthBytes = 2;
  addresses_ = {};
  if (params_.size() < kKeyBytes + kLengthBytes) return false;
  const uint16_t key = wire::Load16(params_.data());
  const size_t length = wire::Load16(params_.data() + kKeyBytes);
  params_ = params_.subspan(kKeyBytes + kLengthBytes);
  if (length > params_.size()) return false;
  if (key == kIpv4Hint || key == kIpv6Hint) {
    addresses_ = params_.first(length);
    width_ = key == kIpv4Hint ? kV4Bytes : kV6Bytes;
  }
  params_ = params_.subspan(length);
  return true;
}

}  // namespace portolan::proxy
