#include "proxy/capture/resolv_conf.h"

#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr std::string_view kNoneLeft = "no nameserver to capture: DNS is left alone";

// Why packets to it cannot be captured; empty if they can.
std::string_view Obstacle(const IpAddress& nameserver) {
  static const Cidr kLinkLocal = *Cidr::Parse("fe80::/10");
  if (nameserver.is_loopback() || nameserver.is_unspecified()) {
    return "a resolver of the pod's own is not captured";
  }
  return kLinkLocal.Contains(nameserver) ? "link-local IPv6 cannot be captured" : "";
}

}  // namespace

Nameservers CapturedNameservers(const ResolvConf& conf) {
  Nameservers found;
  found.warnings = conf.skipped;
  for (const SocketAddress& nameserver : conf.nameservers) {
    const std::string_view obstacle = Obstacle(nameserver.ip);
    if (obstacle.empty()) {
      found.addresses.push_back(nameserver.ip);
    } else {
      found.warnings.push_back(
          fmt::format("nameserver {}: {}", nameserver.ip.ToString(), obstacle));
    }
  }
  if (found.addresses.empty()) found.warnings.emplace_back(kNoneLeft);
  return found;
}

Nameservers ReadNameservers(const std::string& path) {
  const auto conf = ReadResolvConf(path);
  if (conf.ok()) return CapturedNameservers(*conf);
  return {.addresses = {}, .warnings = {fmt::format("{}: {}", Message(conf.status()), kNoneLeft)}};
}

}  // namespace portolan::proxy
