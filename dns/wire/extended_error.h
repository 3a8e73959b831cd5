// Extended DNS Errors (RFC 8914): says in a reply why it is as it is, to whoever debugs with dig.
//
//   size_t bytes = WriteEmptyReply(query, room, Rcode::kServFail);
//   bytes = AppendExtendedError(room, bytes, max_bytes, ExtendedError::kNetworkError, "no server");
//
// Plugins have Exchange::AddExtendedError. Allocates nothing; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dns/wire/edns.h"

namespace portolan::dns::wire {

// https://www.iana.org/assignments/dns-parameters (Extended DNS Error Codes)
enum class ExtendedError : uint16_t {
  kOther = 0,
  kStaleAnswer = 3,
  kForgedAnswer = 4,
  kCachedError = 13,
  kNotReady = 14,
  kBlocked = 15,
  kCensored = 16,
  kFiltered = 17,
  kProhibited = 18,
  kStaleNxDomain = 19,
  kNotAuthoritative = 20,
  kNotSupported = 21,
  kNoReachableAuthority = 22,
  kNetworkError = 23,
};

// Appends the option to the OPT record of the reply in the first `reply_bytes` of `room`, which may
// grow to `max_bytes` (and room.size()). Returns the reply's new length. The reply stays as it is,
// and `reply_bytes` is returned, when it has no OPT record (the client sent none), when something
// stands behind that record, when it is malformed, or when the option does not fit. `text` is
// UTF-8, short, and for people; it is left out whole where only the code fits.
size_t AppendExtendedError(std::span<uint8_t> room, size_t reply_bytes, size_t max_bytes,
                           ExtendedError code, std::string_view text);

}  // namespace portolan::dns::wire
