// The name that reverse lookups of an address are for (RFC 1035 3.5, RFC 3596 2.5). Any thread.
#pragma once

#include <string>

#include "common/ip.h"

namespace portolan::dns::wire {

// "4.3.2.1.in-addr.arpa." of 1.2.3.4; 32 labels below "ip6.arpa." of an IPv6 address.
std::string ReverseName(const IpAddress& address);

}  // namespace portolan::dns::wire
