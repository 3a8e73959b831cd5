// Where a server is that is found by name: "portolan-control-peers.portolan-system.svc:15081". Any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"

namespace portolan {

struct HostAndPort {
  std::string host;  // a DNS name, or an address, without brackets
  uint16_t port = 0;

  // "HOST:PORT", "[2001:db8::1]:PORT". An error says what is wrong with it.
  static absl::StatusOr<HostAndPort> Parse(std::string_view text);
  std::string ToString() const;

  friend bool operator==(const HostAndPort&, const HostAndPort&) = default;
};

// All its addresses, by this machine's resolver (getaddrinfo); at least one. Blocks.
absl::StatusOr<std::vector<SocketAddress>> LookUp(const HostAndPort& where);

}  // namespace portolan
