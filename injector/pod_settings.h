// What may be said for a single pod, by an annotation portolan.dev/NAME on it, and for all pods, by
// NAME in the Template: both are read by one table, and docs/injection.md shows that table.
//
// Plain values, any thread. Text from the network is checked here and nowhere else: what passes is
// a command-line argument of the sidecar later.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/ip.h"

namespace portolan::injector {

inline constexpr std::string_view kAnnotationPrefix = "portolan.dev/";

// Where the sidecar takes what comes to the pod; no annotation moves it.
inline constexpr uint16_t kInboundPort = 15006;

// Kubernetes quantities ("10m", "64Mi"); empty: not said.
struct Resources {
  std::string cpu_request;
  std::string memory_request;
  std::string cpu_limit;
  std::string memory_limit;
};

// A Service whose name and port the pod's containers find in their environment.
struct ServiceEnv {
  std::string name;
  std::string name_space;  // empty: the pod's
  uint16_t port = 0;       // 0: the Service's own, where it is known
};

struct PodSettings {
  std::string image;  // empty: the injector's own
  std::string log_level = "info";
  std::string log_format = "text";
  Resources resources = {"10m", "32Mi", "2", "256Mi"};
  int concurrency = 2;
  std::string capture = "cluster";
  std::string dns_capture = "resolvers";
  std::string udp;  // empty: as `capture` has it, see UdpCapture
  std::vector<Cidr> include_cidrs;
  std::vector<Cidr> exclude_cidrs;
  std::vector<uint16_t> include_ports;
  std::vector<uint16_t> exclude_ports;
  std::vector<uint32_t> exclude_uids;
  std::string endpoints = "on-demand";
  std::string corefile = "default";  // the ProxyConfig that the sidecar asks for
  std::string drain_time = "5s";
  std::string report_names = "true";
  std::string on_no_policy = "open";
  std::string denied_names = "refused";
  std::string learned_grace = "60s";
  std::string end_denied_connections = "false";
  std::string enforce_ingress = "false";
  std::vector<uint16_t> exclude_inbound_ports;
  std::string check_server_name = "false";
  uint16_t admin_port = 15000;
  uint16_t forward_port = 15001;
  uint16_t dns_port = 15053;
  uint16_t status_port = 15020;
  std::vector<ServiceEnv> service_env;
};

// "off" or "tproxy". Who has all captured means UDP too, unless it says otherwise.
std::string UdpCapture(const PodSettings& settings);
// Whether all that the pod sends over TCP and UDP passes its sidecar, as a firewall wants it.
bool CapturesAll(const PodSettings& settings);

inline bool EnforcesIngress(const PodSettings& settings) {
  return settings.enforce_ingress == "true";
}

struct PodSettingRow {
  std::string_view name;
  std::string_view values;  // what may stand there, for readers
  std::string_view absent;  // the default, as it would be written; empty: none
  std::string_view meaning;
  // An error says what is wrong with the value; the caller says whose it is.
  absl::Status (*read)(std::string_view value, PodSettings& out);
};

std::span<const PodSettingRow> PodSettingRows();

// Nothing if there is no such setting.
const PodSettingRow* FindPodSetting(std::string_view name);

// What no single value tells: two of our ports are the same, or one is kInboundPort. Empty: all is
// well.
std::string Conflict(const PodSettings& settings);

}  // namespace portolan::injector
