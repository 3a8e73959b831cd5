#include "injector/sidecar.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "injector/names.h"

namespace portolan::injector {
namespace {

constexpr std::string_view kCaFolder = "/etc/portolan/ca";
constexpr std::string_view kTokenFolder = "/var/run/secrets/portolan";
constexpr std::string_view kStateFolder = "/var/lib/portolan";
// Addresses that stand in the arguments at most: each is a fallback for a first start.
constexpr size_t kMaxAddresses = 8;
// Of the startup probe: two minutes until the container is started anew. /ready waits for no
// control plane for longer than 3 s.
constexpr int kStartupSeconds = 120;

using Args = std::vector<std::string>;

template <typename T>
std::string TextOf(const T& value) {
  if constexpr (requires { value.ToString(); }) {
    return value.ToString();
  } else {
    return fmt::to_string(value);
  }
}

template <typename T>
void AddAll(Args& args, std::string_view flag, const std::vector<T>& values) {
  for (const T& value : values) args.push_back(fmt::format("{}={}", flag, TextOf(value)));
}

const std::vector<Cidr>& Said(const std::vector<Cidr>& by_template,
                              const std::vector<Cidr>& by_cluster) {
  return by_template.empty() ? by_cluster : by_template;
}

std::vector<SocketAddress> Few(const std::vector<SocketAddress>& addresses) {
  return {addresses.begin(), addresses.begin() + static_cast<std::ptrdiff_t>(
                                                     std::min(addresses.size(), kMaxAddresses))};
}

Json ResourcesOf(const Resources& resources) {
  Json json = Json::object();
  const auto put = [&](const char* list, const char* what, const std::string& quantity) {
    if (!quantity.empty()) json[list][what] = quantity;
  };
  put("requests", "cpu", resources.cpu_request);
  put("requests", "memory", resources.memory_request);
  put("limits", "cpu", resources.cpu_limit);
  put("limits", "memory", resources.memory_limit);
  return json;
}

void AddLog(Args& args, const PodSettings& settings) {
  args.push_back("--log-level=" + settings.log_level);
  if (settings.log_format != PodSettings().log_format) {
    args.push_back("--log-format=" + settings.log_format);
  }
}

Args InitArgs(const Sidecar& sidecar) {
  const PodSettings& settings = sidecar.settings;
  Args args = {
      "apply",
      "--capture=" + settings.capture,
      "--dns-capture=" + settings.dns_capture,
      "--udp=" + UdpCapture(settings),
  };
  AddAll(args, "--service-cidr", Said(sidecar.common.service_cidrs, sidecar.facts.service_cidrs));
  AddAll(args, "--pod-cidr", Said(sidecar.common.pod_cidrs, sidecar.facts.pod_cidrs));
  AddAll(args, "--include-cidr", settings.include_cidrs);
  AddAll(args, "--exclude-cidr", settings.exclude_cidrs);
  AddAll(args, "--include-port", settings.include_ports);
  AddAll(args, "--exclude-port", settings.exclude_ports);
  AddAll(args, "--exclude-uid", settings.exclude_uids);
  if (EnforcesIngress(settings)) {
    args.push_back("--inbound=tproxy");
    // The sidecar's own page, which the kubelet and Prometheus ask for.
    AddAll(args, "--exclude-inbound-port", std::vector<uint16_t>{settings.status_port});
    AddAll(args, "--exclude-inbound-port", settings.exclude_inbound_ports);
  }
  args.push_back(fmt::format("--dns-port={}", settings.dns_port));
  args.push_back(fmt::format("--forward-port={}", settings.forward_port));
  AddLog(args, settings);
  return args;
}

void AddListen(Args& args, std::string_view flag, std::string_view v4, std::string_view v6,
               uint16_t port, uint16_t usual) {
  if (port == usual) return;
  args.push_back(fmt::format("{}={}:{}", flag, v4, port));
  if (!v6.empty()) args.push_back(fmt::format("{}={}:{}", flag, v6, port));
}

void AddMovedPorts(Args& args, const PodSettings& settings) {
  const PodSettings usual;
  AddListen(args, "--dns-listen", "127.0.0.1", "[::1]", settings.dns_port, usual.dns_port);
  AddListen(args, "--forward-listen", "127.0.0.1", "[::1]", settings.forward_port,
            usual.forward_port);
  AddListen(args, "--admin-listen", "127.0.0.1", "", settings.admin_port, usual.admin_port);
  AddListen(args, "--status-listen", "0.0.0.0", "[::]", settings.status_port, usual.status_port);
}

void AddPolicy(Args& args, const PodSettings& settings) {
  const PodSettings usual;
  if (CapturesAll(settings)) args.push_back("--captured=all");
  if (EnforcesIngress(settings)) args.push_back("--inbound=tproxy");
  const auto add = [&](std::string_view flag, const std::string& value, const std::string& is) {
    if (value != is) args.push_back(fmt::format("{}={}", flag, value));
  };
  add("--on-no-policy", settings.on_no_policy, usual.on_no_policy);
  add("--denied-names", settings.denied_names, usual.denied_names);
  add("--learned-grace", settings.learned_grace, usual.learned_grace);
  add("--end-denied-connections", settings.end_denied_connections, usual.end_denied_connections);
  add("--check-server-name", settings.check_server_name, usual.check_server_name);
}

Args ProxyArgs(const Sidecar& sidecar) {
  const PodSettings& settings = sidecar.settings;
  const Template& common = sidecar.common;
  Args args = {
      "--node=$(POD_NAMESPACE)/$(POD_NAME)",
      "--pod-ip=$(POD_IPS)",
      "--node-name=$(NODE_NAME)",
      "--zone=$(ZONE)",
  };
  AddAll(args, "--control", Few(sidecar.facts.control_pods));
  AddAll(args, "--control", common.control);
  args.push_back("--control-server-name=" + common.control_server_name);
  args.push_back(fmt::format("--control-ca={}/ca.crt", kCaFolder));
  args.push_back(fmt::format("--control-token={}/token", kTokenFolder));
  args.push_back(fmt::format("--state-dir={}", kStateFolder));
  if (sidecar.asks_cluster_dns) {
    AddAll(args, "--cluster-dns",
           Few(common.cluster_dns.empty() ? sidecar.facts.dns_endpoints : common.cluster_dns));
  }
  AddAll(args, "--service-cidr", Said(common.service_cidrs, sidecar.facts.service_cidrs));
  args.push_back("--proxy-config=" + settings.corefile);
  args.push_back("--endpoints=" + settings.endpoints);
  args.push_back("--udp=" + UdpCapture(settings));
  args.push_back(fmt::format("--concurrency={}", settings.concurrency));
  args.push_back("--drain-time=" + settings.drain_time);
  if (!sidecar.app_ports.empty()) {
    args.push_back(fmt::format("--app-ports={}", fmt::join(sidecar.app_ports, ",")));
  }
  if (settings.report_names == "false") args.push_back("--report-names=false");
  AddPolicy(args, settings);
  AddMovedPorts(args, settings);
  AddLog(args, settings);
  return args;
}

Json FromPod(const char* name, const char* field) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", field}}}}}};
}

Json Mount(std::string_view volume, std::string_view path, bool read_only) {
  Json mount = {{"name", volume}, {"mountPath", path}};
  if (read_only) mount["readOnly"] = true;
  return mount;
}

std::string ImageOf(const Sidecar& sidecar) {
  if (!sidecar.settings.image.empty()) return sidecar.settings.image;
  return sidecar.facts.image.empty() ? "portolan:" PORTOLAN_VERSION : sidecar.facts.image;
}

Json Common(const Sidecar& sidecar, std::string_view name, const Args& args) {
  return {
      {"name", name},
      {"image", ImageOf(sidecar)},
      {"imagePullPolicy", sidecar.common.image_pull_policy},
      {"command", Json::array({fmt::format("/usr/local/bin/{}", name)})},
      {"args", args},
      // The last lines of the log stand in the pod's status then: why no pod starts is seen there.
      {"terminationMessagePolicy", "FallbackToLogsOnError"},
  };
}

}  // namespace

Json InitContainer(const Sidecar& sidecar) {
  Json container = Common(sidecar, kInit, InitArgs(sidecar));
  // The lock of the legacy back end, which nobody else takes in this container.
  container["env"] = Json::array({{{"name", "XTABLES_LOCKFILE"}, {"value", "/dev/null"}}});
  container["resources"] = ResourcesOf(sidecar.common.init_resources);
  container["securityContext"] = {
      {"allowPrivilegeEscalation", false},
      {"capabilities",
       {{"add", Json::array({"NET_ADMIN", "NET_RAW"})}, {"drop", Json::array({"ALL"})}}},
      {"privileged", false},
      {"readOnlyRootFilesystem", true},
      {"runAsGroup", 0},
      {"runAsNonRoot", false},  // a pod that says true is not started otherwise
      {"runAsUser", 0},
      {"seccompProfile", {{"type", "RuntimeDefault"}}},
  };
  return container;
}

Json ProxyContainer(const Sidecar& sidecar) {
  const bool needs_net_raw =
      UdpCapture(sidecar.settings) == "tproxy" || EnforcesIngress(sidecar.settings);
  Json container = Common(sidecar, kProxy, ProxyArgs(sidecar));
  container["restartPolicy"] = "Always";
  container["env"] = {
      FromPod("POD_NAME", "metadata.name"),
      FromPod("POD_NAMESPACE", "metadata.namespace"),
      FromPod("POD_IPS", "status.podIPs"),
      FromPod("NODE_NAME", "spec.nodeName"),
      FromPod("ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
  };
  container["ports"] = Json::array({{{"name", "portolan-status"},
                                     {"containerPort", sidecar.settings.status_port},
                                     {"protocol", "TCP"}}});
  container["resources"] = ResourcesOf(sidecar.settings.resources);
  container["startupProbe"] = {
      {"httpGet", {{"path", "/ready"}, {"port", sidecar.settings.status_port}}},
      {"periodSeconds", 1},
      {"timeoutSeconds", 3},
      {"failureThreshold", kStartupSeconds},
  };
  container["securityContext"] = {
      // The program file's capability is to count then, which the kernel ignores otherwise.
      {"allowPrivilegeEscalation", needs_net_raw},
      {"capabilities", {{"drop", Json::array({"ALL"})}}},
      {"privileged", false},
      {"readOnlyRootFilesystem", true},
      {"runAsGroup", kUid},
      {"runAsNonRoot", true},
      {"runAsUser", kUid},
      {"seccompProfile", {{"type", "RuntimeDefault"}}},
  };
  if (needs_net_raw) container["securityContext"]["capabilities"]["add"] = Json::array({"NET_RAW"});
  container["volumeMounts"] = {
      Mount(kStateVolume, kStateFolder, false),
      Mount(kTokenVolume, kTokenFolder, true),
      Mount(kCaVolume, kCaFolder, true),
  };
  return container;
}

Json Volumes(const Template& common) {
  const Json token = {
      {"serviceAccountToken",
       {{"audience", kTokenAudience}, {"expirationSeconds", 3600}, {"path", "token"}}}};
  return {
      {{"name", kStateVolume}, {"emptyDir", {{"sizeLimit", common.state_size}}}},
      {{"name", kTokenVolume}, {"projected", {{"sources", Json::array({token})}}}},
      {{"name", kCaVolume}, {"configMap", {{"name", "portolan-ca"}}}},
  };
}

}  // namespace portolan::injector
