#include "dns/wire/reverse_name.h"

#include <fmt/format.h>

namespace portolan::dns::wire {

std::string ReverseName(const IpAddress& address) {
  std::string text;
  const auto bytes = address.bytes();
  for (size_t i = bytes.size(); i > 0; --i) {
    const unsigned byte = bytes[i - 1];
    text += address.is_v4() ? fmt::format("{}.", byte)
                            : fmt::format("{:x}.{:x}.", byte & 15, byte >> 4);
  }
  return text + (address.is_v4() ? "in-addr.arpa." : "ip6.arpa.");
}

}  // namespace portolan::dns::wire
