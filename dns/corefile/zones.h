// The zones that a Corefile's words stand for. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/wire/name.h"

namespace portolan::dns::corefile {

// "cluster.local", "." or a block of addresses: "10.0.0.0/8" is 10.in-addr.arpa, and a block that
// ends within a label ("10.0.0.0/7", "fd00::/9") is as many zones as it takes, as in CoreDNS.
absl::StatusOr<std::vector<wire::Zone>> ParseZones(const Token& token);
absl::StatusOr<std::vector<wire::Zone>> ParseZones(const std::vector<Token>& tokens);

// A server block's key: "[SCHEME://]ZONE[:PORT]".
struct ServerKey {
  std::string scheme = "dns";
  std::vector<wire::Zone> zones;
  uint16_t port = 53;
  bool explicit_port = false;
};

absl::StatusOr<ServerKey> ParseServerKey(const Token& token);

}  // namespace portolan::dns::corefile
