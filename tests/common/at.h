// Addresses for tests, shorter to write.
#pragma once

#include <string_view>

#include "common/ip.h"

namespace portolan {

inline IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }
inline SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

}  // namespace portolan
