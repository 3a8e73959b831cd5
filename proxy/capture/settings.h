// What a pod wants captured: the settings of portolan-init, checked before anything is written.
//
// Plain values, any thread. They are fixed when the pod starts; portolan-proxy has no part in them
// but for the three ports, which must be those it listens on (on 127.0.0.1 and ::1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/ip.h"

namespace portolan::proxy {

// Which queries reach the sidecar's DNS server.
enum class DnsCapture {
  kResolvers,  // port 53, UDP and TCP, of the nameservers in the pod's resolv.conf
  kAll,        // every port 53
};

// Which TCP connections reach the sidecar's forwarder.
enum class ForwardCapture {
  kCluster,  // to the Service and pod ranges, and what the include lists add
  kAll,      // every one
};

// Whether UDP reaches the sidecar's forwarder. The sidecar must be started with the same --udp:
// what is captured while nobody takes it is dropped.
enum class UdpCapture {
  kOff,     // none but DNS
  kTproxy,  // to the Service ranges and what the include lists add; every one with kAll
};

// Whether TCP that comes to the pod reaches the sidecar. The sidecar must be started with the same
// --inbound: what is captured while nobody takes it is dropped.
enum class InboundCapture {
  kOff,
  kTproxy,  // all that does not come by loopback
};

struct CaptureSettings {
  uint16_t dns_port = 15053;
  uint16_t forward_port = 15001;
  uint16_t inbound_port = 15006;

  DnsCapture dns = DnsCapture::kResolvers;
  // Read from resolv.conf; not needed with DnsCapture::kAll.
  std::vector<IpAddress> nameservers;

  ForwardCapture forward = ForwardCapture::kCluster;
  UdpCapture udp = UdpCapture::kOff;
  std::vector<Cidr> service_cidrs;
  std::vector<Cidr> pod_cidrs;
  std::vector<Cidr> include_cidrs;
  // What goes to these ports is forwarded whatever the address.
  std::vector<uint16_t> include_ports;

  // Whose packets are the sidecar's own. A capture without such a user or group loops.
  std::vector<uint32_t> exempt_uids = {1337};
  std::vector<uint32_t> exempt_gids = {1337};

  // Never captured, neither as DNS nor for the forwarder: exclusion wins over everything.
  std::vector<Cidr> exclude_cidrs;
  std::vector<uint16_t> exclude_ports;
  std::vector<uint32_t> exclude_uids;

  InboundCapture inbound = InboundCapture::kOff;
  // The pod's own: what comes to these is not captured.
  std::vector<uint16_t> exclude_inbound_ports;
};

// An error that names the flag at fault.
absl::Status Validate(const CaptureSettings& settings);

// What is legal and probably not meant: a sentence each, for the log.
std::vector<std::string> Warnings(const CaptureSettings& settings);

}  // namespace portolan::proxy
