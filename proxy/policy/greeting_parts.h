// The two protocols of greeting.h, for greeting.cc alone. As there: `bytes` are all since the first
// one, and what is not kUnfinished stays the same whatever follows.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/policy/greeting.h"

namespace portolan::proxy {

inline constexpr Greeting kMalformedGreeting{Greeting::Kind::kMalformed, {}, {}};

// A name or an IP address; IPv6 without brackets.
Greeting GreetingOfHost(std::string_view host);
// RFC 3986 3.2: a host and perhaps a port, IPv6 in brackets. User information, which a request must
// not have (RFC 9110 4.2.4), is malformed.
Greeting GreetingOfAuthority(std::string_view authority);

// By the first byte of all: a TLS record of what may stand before a ClientHello, which application
// data may not.
inline bool MayBeTls(uint8_t first) { return first >= 0x14 && first <= 0x1f && first != 0x17; }
// REQUIRES: MayBeTls.
Greeting ReadClientHello(std::span<const uint8_t> bytes);

// Where it ends within the head of a request, what is there counts as all of it.
Greeting ReadRequestHead(std::span<const uint8_t> bytes, bool ended);

}  // namespace portolan::proxy
