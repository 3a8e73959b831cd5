// What the sidecar is told at its start: flags, or the same names in the YAML file given by
// --config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"

namespace portolan::proxy {

struct Settings {
  // Control plane addresses, HOST:PORT, tried in turn. Empty: no feed, state from disk only.
  std::vector<std::string> control;
  // Over TLS: the file of the CAs that it is known by, and what its certificate has to be for if
  // that is not the host of the address.
  std::string control_ca;
  std::string control_server_name;
  std::string control_token;      // file of the token that says who we are; empty: none
  bool control_insecure = false;  // plaintext

  // NAMESPACE/POD, the identity shown to the control plane.
  std::string node;
  std::vector<IpAddress> pod_ips;
  std::vector<IpAddress> node_ips;  // default_gateways.h; empty: none but those of the Node object
  // Where the pod runs, for internalTrafficPolicy and hints: the Node's name and its
  // topology.kubernetes.io/zone. Empty: what the control plane says of pod_ips.
  std::string node_name;
  std::string zone;

  // What lies in these is a Service's address, also of one that the directory does not have.
  std::vector<Cidr> service_cidrs;

  // Which of the control plane's ProxyConfigs is asked for.
  std::string proxy_config = "default";
  std::string corefile;  // path; empty: the built-in one (kubernetes cluster.local, loadbalance)
  std::string resolv_conf = "/etc/resolv.conf";
  // Endpoints that serve the nameservers of resolv_conf, until the directory says who does.
  std::vector<SocketAddress> cluster_dns;

  // On a wildcard address 15053 would be an open resolver and 15001 an open relay, so both stand on
  // loopback unless asked otherwise. Addresses of a family that the pod lacks are left out.
  std::vector<SocketAddress> dns_listen;
  std::vector<SocketAddress> forward_listen;
  std::vector<SocketAddress> inbound_listen;  // with --inbound tproxy
  SocketAddress admin_listen;
  // /ready, /healthz and /metrics for the kubelet and Prometheus: reachable from outside the pod.
  std::vector<SocketAddress> status_listen;

  // What the containers of the pod declare: the Corefile's pages are not opened there.
  std::vector<uint16_t> app_ports;
  // "eager": the endpoints of all Services are held. "on-demand": of those that are used, until
  // they were not for so long.
  std::string endpoints = "on-demand";
  absl::Duration endpoints_idle = absl::Minutes(30);
  bool eager_endpoints() const { return endpoints == "eager"; }

  std::string state_dir;  // empty: nothing is kept
  int concurrency = 2;    // workers, 1 to 64
  // Silence of the control plane after which unknown cluster names go to the cluster DNS.
  absl::Duration stale_after = absl::Seconds(10);
  // How long /ready waits for the first sync before it says yes without one.
  absl::Duration ready_wait = absl::Seconds(3);
  // How long connections may go on after SIGTERM.
  absl::Duration drain_time = absl::Seconds(5);
  absl::Duration connect_timeout = absl::Seconds(1);
  absl::Duration idle_timeout = absl::ZeroDuration();  // of a TCP connection; 0: never
  // "tproxy": UDP is forwarded too, which needs CAP_NET_RAW at the start. "off": it is not.
  std::string udp = "off";
  // "tproxy": what comes to the pod is carried and judged, which needs CAP_NET_RAW all the time.
  // "off": it is not.
  std::string inbound = "off";
  bool carries_inbound() const { return inbound != "off"; }
  // No policy is about these.
  std::vector<IpAddress> always_allowed() const {
    std::vector<IpAddress> all = pod_ips;
    all.insert(all.end(), node_ips.begin(), node_ips.end());
    return all;
  }
  // Most flows of a worker, and how long one may be idle: never answered, and answered.
  size_t udp_flows = 4096;
  absl::Duration udp_timeout = absl::Seconds(30);
  absl::Duration udp_stream_timeout = absl::Seconds(120);
  // Egress policy. What portolan-init was told to capture: "all", or "cluster" and then policies
  // are enforced in part.
  std::string captured = "cluster";
  // What is done with connections and names while no policy is known: "open" or "closed".
  std::string on_no_policy = "open";
  // What who asks for a name that no rule allows is told: "refused" or "nxdomain".
  std::string denied_names = "refused";
  absl::Duration learned_grace = absl::Seconds(60);  // of learned addresses, after their TTL
  // Joined TCP connections that a new policy denies are reset.
  bool end_denied_connections = false;
  // What a client greets a server with, by TLS or HTTP/1, must be allowed where a name alone is.
  bool check_server_name = false;
  uint32_t policy_log_sample = 1;  // a line for one denial in so many; 0: none
  // Failures in a row after which an endpoint is passed over (0: never), and for how long at first.
  uint32_t eject_after = 3;
  absl::Duration eject_for = absl::Seconds(5);
  std::string access_log;  // path, or "-" for standard output; empty: none
  // Service ports and endpoints that metrics show by name, at most.
  size_t metric_services = 500;
  size_t metric_endpoints = 1000;
  // Whether the control plane is told how the sidecar is and may ask it, and told what the
  // application looks up.
  bool reports = true;
  bool report_names = true;
  std::string log_level = "info";
  std::string log_format = "text";

  Settings();
};

// Reads the command line into `out`. The exit status if the program should end (--help, an error
// that names the flag), nothing if it should go on.
std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out);

}  // namespace portolan::proxy
