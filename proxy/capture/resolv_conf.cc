#include "proxy/capture/resolv_conf.h"

#include <algorithm>

#include "common/files.h"
#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr size_t kMaxBytes = 64 * 1024;
constexpr std::string_view kBlank = " \t\r";

// Takes the next word off the front of `line`; empty at its end.
std::string_view NextWord(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

bool IsLinkLocal(const IpAddress& address) {
  static const Cidr kLinkLocal = *Cidr::Parse("fe80::/10");
  return kLinkLocal.Contains(address);
}

void AddNameserver(std::string_view text, Nameservers& found) {
  auto warn = [&](std::string_view why) {
    found.warnings.push_back(fmt::format("nameserver {}: {}", text.substr(0, 64), why));
  };
  // The zone ("%eth0") does not matter to what follows: only link-local addresses have one.
  auto address = IpAddress::Parse(text.substr(0, text.find('%')));
  if (!address.ok()) return warn("not an IP address, skipped");
  if (address->is_loopback() || address->is_unspecified()) {
    return warn("a resolver of the pod's own is not captured");
  }
  if (IsLinkLocal(*address)) return warn("link-local IPv6 cannot be captured");
  auto& addresses = found.addresses;
  if (std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) {
    addresses.push_back(*address);
  }
}

}  // namespace

Nameservers ParseNameservers(std::string_view resolv_conf) {
  Nameservers found;
  while (!resolv_conf.empty()) {
    std::string_view line = resolv_conf.substr(0, resolv_conf.find('\n'));
    resolv_conf.remove_prefix(std::min(line.size() + 1, resolv_conf.size()));
    if (NextWord(line) != "nameserver") continue;
    if (const std::string_view address = NextWord(line); !address.empty()) {
      AddNameserver(address, found);
    }
  }
  if (found.addresses.empty()) {
    found.warnings.push_back("no nameserver to capture: DNS is left alone");
  }
  return found;
}

Nameservers ReadNameservers(const std::string& path) {
  auto content = ReadFile(path, kMaxBytes);
  if (!content.ok()) {
    return {.addresses = {},
            .warnings = {fmt::format("{}: no nameserver to capture: DNS is left alone",
                                     Message(content.status()))}};
  }
  return ParseNameservers(*content);
}

}  // namespace portolan::proxy
