// The pod's resolv.conf: where questions go that nobody here answers, and what a short name
// becomes.
//
// resolv.conf(5); shapes as kubelet writes them: one to three nameservers, up to 32 search domains
// (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/). Value; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"

namespace portolan {

inline constexpr size_t kMaxResolvConfBytes = 64 * 1024;
// More nameservers than that are left out, as CoreDNS's forward does.
inline constexpr size_t kMaxNameservers = 15;
inline constexpr size_t kMaxSearchDomains = 64;
inline constexpr uint16_t kDnsPort = 53;

struct ResolvConf {
  std::vector<SocketAddress> nameservers;  // in the file's order, each once; may be empty
  std::vector<std::string> search;         // of the last `search` or `domain` line
  int ndots = 1;
  // Lines that could not be used, with the reason, for the log: "FILE:3: nameserver fe80::1%eth0:
  // ...". What cannot be used is skipped, as the C library skips it.
  std::vector<std::string> skipped;
};

ResolvConf ParseResolvConf(std::string_view text, std::string_view file_name);

// An error if the file cannot be read or is larger than kMaxResolvConfBytes.
absl::StatusOr<ResolvConf> ReadResolvConf(const std::string& path);

}  // namespace portolan
