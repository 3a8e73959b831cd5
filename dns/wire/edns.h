// The options of an OPT record (RFC 6891 6.1.2): found in a query, appended to a reply.
//
// Untrusted bytes; bounded by what is given, allocates nothing. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace portolan::dns::wire {

// https://www.iana.org/assignments/dns-parameters (EDNS0 option codes)
inline constexpr uint16_t kNsidOption = 3;
inline constexpr uint16_t kClientSubnetOption = 8;  // RFC 7871
inline constexpr uint16_t kExtendedErrorOption = 15;

// The data of the first option `code` in `options`, the bytes of an OPT record. None if there is no
// such option, or if the bytes before it are malformed.
std::optional<std::span<const uint8_t>> FindOption(std::span<const uint8_t> options, uint16_t code);

// Room for one option more in the OPT record of the reply in the first `reply_bytes` of `room`,
// which may grow to `max_bytes` (and room.size()): `reply_bytes` grows by the option, and the span
// returned is where its `data_bytes` (at least 1) go. Empty, and nothing is changed, when the reply
// has no OPT record (the client sent none), when something stands behind that record, when the
// reply is malformed, or when the option does not fit.
std::span<uint8_t> AppendOption(std::span<uint8_t> room, size_t& reply_bytes, size_t max_bytes,
                                uint16_t code, size_t data_bytes);

}  // namespace portolan::dns::wire
