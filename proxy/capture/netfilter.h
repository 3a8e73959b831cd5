// The kernel's packet filter, as far as capture needs it: the seam that tests replace.
//
// One thread. Calls block until the tool that does the work has ended.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/ip.h"

namespace portolan::proxy {

// The two implementations that a kernel may have at the same time, each blind to the other's rules.
enum class Backend { kNft, kLegacy };

std::string_view Name(Backend backend);  // "nft", "legacy"
std::string_view Name(IpFamily family);  // "IPv4", "IPv6"

// Errors of Save and Restore: NotFound, the tool is not installed; Unavailable, the kernel lacks a
// module; PermissionDenied, a capability is missing; Internal, anything else. The message names the
// cause and, where there is one, the remedy.
class Netfilter {
 public:
  virtual ~Netfilter() = default;

  // What iptables-save prints, all tables. Changes nothing.
  virtual absl::StatusOr<std::string> Save(Backend backend, IpFamily family) = 0;

  // iptables-restore --noflush: each table of `input` is one transaction.
  virtual absl::Status Restore(Backend backend, IpFamily family, const std::string& input) = 0;

  // False if the kernel has no IPv6 or it is switched off on every interface.
  virtual bool HasIpv6() = 0;
  // An interface has an address of IPv6 that reaches beyond its link; false if it cannot be told.
  virtual bool HasGlobalIpv6() = 0;
};

}  // namespace portolan::proxy
