#include "proxy/capture/settings.h"

#include <algorithm>
#include <string_view>

#include "common/status.h"

namespace portolan::proxy {
namespace {

absl::Status RefuseWholeFamily(std::string_view flag, const std::vector<Cidr>& cidrs) {
  for (const Cidr& cidr : cidrs) {
    if (cidr.prefix_bits == 0) {
      return InvalidArgument("{} {}: that is every address; use --capture all", flag,
                             cidr.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status RefusePortZero(std::string_view flag, const std::vector<uint16_t>& ports) {
  if (std::find(ports.begin(), ports.end(), 0) != ports.end()) {
    return InvalidArgument("{} 0: ports go from 1 to 65535", flag);
  }
  return absl::OkStatus();
}

absl::Status RefuseUnsetId(std::string_view flag, const std::vector<uint32_t>& ids) {
  if (std::find(ids.begin(), ids.end(), UINT32_MAX) != ids.end()) {
    return InvalidArgument("{} {}: that number stands for no user", flag, UINT32_MAX);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const CaptureSettings& settings) {
  if (settings.dns_port == 0) return InvalidArgument("--dns-port 0: ports go from 1 to 65535");
  if (settings.forward_port == 0) {
    return InvalidArgument("--forward-port 0: ports go from 1 to 65535");
  }
  if (settings.dns_port == settings.forward_port) {
    return InvalidArgument("--dns-port and --forward-port are both {}: they must differ",
                           settings.dns_port);
  }
  if (settings.inbound_port == 0) {
    return InvalidArgument("--inbound-port 0: ports go from 1 to 65535");
  }
  if (settings.inbound_port == settings.dns_port ||
      settings.inbound_port == settings.forward_port) {
    return InvalidArgument("--inbound-port {} is --dns-port or --forward-port: they must differ",
                           settings.inbound_port);
  }
  if (settings.exempt_uids.empty() && settings.exempt_gids.empty()) {
    return InvalidArgument(
        "neither --exempt-uid nor --exempt-gid: the sidecar would capture its own connections");
  }
  for (const absl::Status& status : {
           RefuseWholeFamily("--service-cidr", settings.service_cidrs),
           RefuseWholeFamily("--pod-cidr", settings.pod_cidrs),
           RefuseWholeFamily("--include-cidr", settings.include_cidrs),
           RefusePortZero("--include-port", settings.include_ports),
           RefusePortZero("--exclude-port", settings.exclude_ports),
           RefusePortZero("--exclude-inbound-port", settings.exclude_inbound_ports),
           RefuseUnsetId("--exempt-uid", settings.exempt_uids),
           RefuseUnsetId("--exempt-gid", settings.exempt_gids),
           RefuseUnsetId("--exclude-uid", settings.exclude_uids),
       }) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<std::string> Warnings(const CaptureSettings& settings) {
  std::vector<std::string> warnings;
  for (const IpAddress& nameserver : settings.nameservers) {
    if (settings.dns == DnsCapture::kAll) break;
    for (const Cidr& excluded : settings.exclude_cidrs) {
      if (!excluded.Contains(nameserver)) continue;
      warnings.push_back(fmt::format("nameserver {} is inside --exclude-cidr {}: not captured",
                                     nameserver.ToString(), excluded.ToString()));
    }
  }
  const auto& excluded_ports = settings.exclude_ports;
  if (std::find(excluded_ports.begin(), excluded_ports.end(), 53) != excluded_ports.end()) {
    warnings.push_back("--exclude-port 53: no DNS is captured");
  }
  const bool includes = !settings.include_cidrs.empty() || !settings.include_ports.empty();
  if (settings.forward == ForwardCapture::kAll && includes) {
    warnings.push_back("--include-cidr and --include-port add nothing to --capture all");
  }
  if (settings.forward == ForwardCapture::kCluster && !includes && settings.service_cidrs.empty() &&
      settings.pod_cidrs.empty()) {
    warnings.push_back("no --service-cidr and no --pod-cidr: no TCP connection is captured");
  }
  if (settings.inbound == InboundCapture::kOff && !settings.exclude_inbound_ports.empty()) {
    warnings.push_back("--exclude-inbound-port, but no --inbound tproxy: it excludes nothing");
  }
  if (settings.udp == UdpCapture::kTproxy && settings.forward == ForwardCapture::kCluster &&
      !includes && settings.service_cidrs.empty()) {
    warnings.push_back("--udp tproxy, but no --service-cidr: no UDP is captured");
  }
  return warnings;
}

}  // namespace portolan::proxy
