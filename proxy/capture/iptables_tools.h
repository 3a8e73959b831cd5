// The real Netfilter: runs iptables-{nft,legacy}-{save,restore} and their ip6tables twins, found by
// PATH (Debian's package `iptables` has all eight).
//
// One thread. A tool that has not ended after 30 s is killed. A lock held by another iptables is
// waited for at most 10 s.
#pragma once

#include <string>

#include "proxy/capture/netfilter.h"

namespace portolan::proxy {

class IptablesTools : public Netfilter {
 public:
  // The folder with one subfolder for each interface, and the kernel's list of addresses.
  explicit IptablesTools(std::string ipv6_conf_dir = "/proc/sys/net/ipv6/conf",
                         std::string ipv6_addresses = "/proc/net/if_inet6")
      : ipv6_conf_dir_(std::move(ipv6_conf_dir)), ipv6_addresses_(std::move(ipv6_addresses)) {}

  absl::StatusOr<std::string> Save(Backend backend, IpFamily family) override;
  absl::Status Restore(Backend backend, IpFamily family, const std::string& input) override;
  bool HasIpv6() override;
  bool HasGlobalIpv6() override;

 private:
  const std::string ipv6_conf_dir_;
  const std::string ipv6_addresses_;
};

}  // namespace portolan::proxy
