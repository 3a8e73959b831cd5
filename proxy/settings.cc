#include "proxy/settings.h"

#include <string_view>

#include "common/flags.h"
#include "common/log.h"

namespace portolan::proxy {
namespace {

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

// What CLI11 cannot say of a single flag. Empty if all is well.
std::string Fault(const Settings& settings) {
  if (settings.node.find('/') == std::string::npos) return "--node: expected NAMESPACE/POD";
  const bool tls_asked = !settings.control_ca.empty() || !settings.control_server_name.empty() ||
                         !settings.control_token.empty();
  if (settings.control_insecure && tls_asked) {
    return "--control-insecure is plaintext: --control-ca, --control-server-name and "
           "--control-token are of no use";
  }
  if (!settings.control.empty() && !settings.control_insecure && settings.control_ca.empty()) {
    return "--control: --control-ca must say which CAs it is known by (TLS), or --control-insecure "
           "that plaintext will do";
  }
  if (settings.control.empty() && settings.state_dir.empty()) {
    return "--control or --state-dir: one of them must say where the directory comes from";
  }
  if (settings.proxy_config.empty()) return "--proxy-config: a name is needed";
  if (settings.endpoints_idle < absl::Seconds(1)) return "--endpoints-idle: at least 1s is needed";
  return {};
}

}  // namespace

Settings::Settings()
    : dns_listen{At("127.0.0.1:15053"), At("[::1]:15053")},
      forward_listen{At("127.0.0.1:15001"), At("[::1]:15001")},
      inbound_listen{At("127.0.0.1:15006"), At("[::1]:15006")},
      admin_listen(At("127.0.0.1:15000")),
      status_listen{At("0.0.0.0:15020"), At("[::]:15020")} {}

std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out) {
  CLI::App app("Portolan's sidecar: answers the pod's DNS and carries its connections");
  AddCommonFlags(app, PORTOLAN_VERSION);
  app.add_option("--control", out.control,
                 "control plane, HOST:PORT; more than one is tried in turn");
  app.add_option("--control-ca", out.control_ca,
                 "CAs that the control plane is known by, PEM; read again when it connects anew");
  app.add_option("--control-server-name", out.control_server_name,
                 "what the control plane's certificate is for; default: the host of --control");
  app.add_option("--control-token", out.control_token,
                 "file of a service account's token for the audience portolan, which says to the "
                 "control plane who this is; read again when it connects anew");
  app.add_flag("--control-insecure", out.control_insecure, "plaintext to the control plane");
  app.add_option("--node", out.node, "who this sidecar is: NAMESPACE/POD")->required();
  AddFlag(app, "--pod-ip", out.pod_ips,
          "addresses of the pod, comma-separated or more than once for dual stack")
      ->delimiter(',');
  AddFlag(
      app, "--node-ip", out.node_ips,
      "by which addresses the pod's node reaches it, beside those of its Node object: no policy "
      "is about them; default: the gateways of the pod's default routes")
      ->delimiter(',');
  app.add_option("--node-name", out.node_name,
                 "the Kubernetes node it runs on, for internalTrafficPolicy Local and node hints; "
                 "empty: what the control plane says of the pod's address");
  app.add_option("--zone", out.zone,
                 "the node's topology.kubernetes.io/zone, for zone hints; empty likewise");
  AddFlag(app, "--service-cidr", out.service_cidrs,
          "Service ranges of the cluster, as portolan-init was told, comma-separated or more than "
          "once: an address there that is no known Service's is not judged by policy as it is")
      ->delimiter(',');
  app.add_option("--proxy-config", out.proxy_config,
                 "name of the configuration to ask the control plane for, as in its --corefiles")
      ->capture_default_str();
  app.add_option("--corefile", out.corefile,
                 "Corefile that serves until the control plane sends one");
  app.add_option("--resolv-conf", out.resolv_conf, "the pod's resolvers")->capture_default_str();
  AddFlag(app, "--cluster-dns", out.cluster_dns,
          "ADDR:PORT of endpoints that serve those resolvers, until the directory says who does; "
          "comma-separated or more than once")
      ->delimiter(',');
  AddFlag(app, "--dns-listen", out.dns_listen, "default 127.0.0.1:15053 and [::1]:15053");
  AddFlag(app, "--forward-listen", out.forward_listen, "default 127.0.0.1:15001 and [::1]:15001");
  AddFlag(app, "--inbound-listen", out.inbound_listen, "default 127.0.0.1:15006 and [::1]:15006");
  AddFlag(app, "--admin-listen", out.admin_listen, "default 127.0.0.1:15000");
  AddFlag(app, "--status-listen", out.status_listen,
          "/ready, /healthz and /metrics; default port 15020 on all addresses");
  app.add_option("--app-ports", out.app_ports,
                 "ports that the pod's containers declare: no page of the Corefile is opened there")
      ->check(CLI::Range(1, 65535))
      ->delimiter(',');
  app.add_option("--endpoints", out.endpoints,
                 "on-demand: hold the endpoints of the Services that the pod uses; eager: of all")
      ->check(CLI::IsMember({"on-demand", "eager"}))
      ->capture_default_str();
  AddFlag(app, "--endpoints-idle", out.endpoints_idle,
          "how long endpoints of a Service that is not used are held");
  app.add_option("--state-dir", out.state_dir, "folder where the directory is kept for a restart");
  app.add_option("--concurrency", out.concurrency, "workers")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  AddFlag(app, "--stale-after", out.stale_after, "silence after which the feed counts as stale");
  AddFlag(app, "--ready-wait", out.ready_wait, "how long /ready waits for a first sync");
  AddFlag(app, "--drain-time", out.drain_time, "how long connections go on after SIGTERM");
  AddFlag(app, "--connect-timeout", out.connect_timeout, "before another endpoint is tried");
  AddFlag(app, "--idle-timeout", out.idle_timeout,
          "a TCP connection that carries nothing for so long is reset; 0s, the default: never");
  app.add_option(
         "--udp", out.udp,
         "off or tproxy: forward UDP too, as portolan-init was told; needs CAP_NET_RAW at the "
         "start, which is given up then")
      ->check(CLI::IsMember({"off", "tproxy"}))
      ->capture_default_str();
  app.add_option(
         "--inbound", out.inbound,
         "off or tproxy: carry TCP that comes to the pod, as portolan-init was told, and enforce "
         "ingress policy; needs CAP_NET_RAW, which is kept")
      ->check(CLI::IsMember({"off", "tproxy"}))
      ->capture_default_str();
  app.add_option("--udp-flows", out.udp_flows,
                 "UDP flows that a worker holds; one more ends the one idle for longest")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  AddFlag(app, "--udp-timeout", out.udp_timeout, "idle time of a UDP flow that was never answered");
  AddFlag(app, "--udp-stream-timeout", out.udp_stream_timeout, "idle time of one that was");
  app.add_option("--captured", out.captured,
                 "what portolan-init was told to --capture, cluster or all: whether policies are "
                 "enforced for all that the pod sends")
      ->check(CLI::IsMember({"cluster", "all"}))
      ->capture_default_str();
  app.add_option("--on-no-policy", out.on_no_policy,
                 "open or closed: what is done with connections and names before it is known which "
                 "policies there are")
      ->check(CLI::IsMember({"open", "closed"}))
      ->capture_default_str();
  app.add_option("--denied-names", out.denied_names,
                 "refused or nxdomain: the answer for a name that policy does not allow")
      ->check(CLI::IsMember({"refused", "nxdomain"}))
      ->capture_default_str();
  AddFlag(
      app, "--learned-grace", out.learned_grace,
      "how long, after its TTL, an address may be reached that a name allowed by policy led to");
  app.add_flag("--end-denied-connections", out.end_denied_connections,
               "reset open TCP connections that a new policy denies; UDP flows end in any case");
  app.add_flag(
      "--check-server-name", out.check_server_name,
      "where a rule by name alone allows a TCP connection, the name in its TLS ClientHello "
      "or HTTP/1 request must be allowed too");
  app.add_option("--policy-log-sample", out.policy_log_sample,
                 "log one in so many denials by policy, ten a second at most; 0: none")
      ->capture_default_str();
  app.add_option("--eject-after", out.eject_after,
                 "failures to connect in a row after which an endpoint is passed over; 0: never")
      ->capture_default_str();
  AddFlag(app, "--eject-for", out.eject_for,
          "for how long at first; twice as long each time a trial fails, 5 minutes at most");
  app.add_option("--access-log", out.access_log,
                 "a line of JSON for each connection: to this file, or - for standard output");
  app.add_option("--metric-services", out.metric_services,
                 "Service ports that metrics show by name; the rest is shown as one, 'other'")
      ->capture_default_str();
  app.add_option("--metric-endpoints", out.metric_endpoints, "the same for endpoints")
      ->capture_default_str();
  app.add_option("--reports", out.reports,
                 "false: nothing is reported to the control plane, and nothing answered through it")
      ->capture_default_str();
  app.add_option("--report-names", out.report_names,
                 "false: the names that the application looks up are in no report, nor what policy "
                 "denied, one by one")
      ->capture_default_str();
  AddLogFlags(app, out.log_level, out.log_format);
  if (auto status = ParseFlags(app, argc, argv)) return status;
  if (auto status = WrongUsage(Fault(out))) return status;
  log::SetFormat(out.log_format);
  return WrongUsage(Message(log::SetLevel(out.log_level)));
}

}  // namespace portolan::proxy
