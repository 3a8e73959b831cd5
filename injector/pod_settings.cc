#include "injector/pod_settings.h"

#include <algorithm>
#include <array>

#include "common/status.h"
#include "common/text.h"
#include "injector/quantity.h"
#include "injector/setting_values.h"

namespace portolan::injector {
namespace {

absl::Status ReadConcurrency(std::string_view value, int& out) {
  int64_t number = 0;
  if (auto status = ReadNumber(value, 1, 64, number); !status.ok()) return status;
  out = static_cast<int>(number);
  return absl::OkStatus();
}

// NAME, NAME.NAMESPACE, either with :PORT.
absl::Status ReadServiceEnvItem(std::string_view value, ServiceEnv& out) {
  const std::string_view whole = value;
  if (const size_t colon = value.find(':'); colon != value.npos) {
    if (auto status = ReadPort(value.substr(colon + 1), out.port); !status.ok()) return status;
    value = value.substr(0, colon);
  }
  if (const size_t dot = value.find('.'); dot != value.npos) {
    out.name_space = value.substr(dot + 1);
    value = value.substr(0, dot);
    if (!IsDnsLabel(out.name_space)) value = {};
  }
  if (!IsDnsLabel(value)) {
    return InvalidArgument("{} is not SERVICE or SERVICE.NAMESPACE, with or without :PORT",
                           Quoted(whole));
  }
  out.name = value;
  return absl::OkStatus();
}

// Blanks and commas part them.
absl::Status ReadServiceEnv(std::string_view value, std::vector<ServiceEnv>& out) {
  std::string list;
  for (const std::string_view word : SplitBlanks(value)) {
    if (!list.empty() && list.back() != ',' && word.front() != ',') list += ',';
    list += word;
  }
  return ReadList<ServiceEnv>(list, ReadServiceEnvItem, out);
}

using S = PodSettings;
using View = std::string_view;

constexpr PodSettingRow kRows[] = {
    {"image", "image name", "", "of both containers; the injector's own if nobody says",
     [](View v, S& s) { return ReadImage(v, s.image); }},
    {"log-level", "`debug`, `info`, `warn`, `error`", "info", "of both containers",
     [](View v, S& s) {
       return ReadWord(v, {"debug", "info", "warn", "error"}, s.log_level);
     }},
    {"log-format", "`text`, `json`", "text", "of both containers",
     [](View v, S& s) {
       return ReadWord(v, {"text", "json"}, s.log_format);
     }},
    {"cpu-request", "quantity", "10m", "of the sidecar",
     [](View v, S& s) { return ReadCpu(v, s.resources.cpu_request); }},
    {"cpu-limit", "quantity or `none`", "2", "of the sidecar",
     [](View v, S& s) { return ReadCpuLimit(v, s.resources.cpu_limit); }},
    {"memory-request", "quantity", "32Mi", "of the sidecar",
     [](View v, S& s) { return ReadMemory(v, s.resources.memory_request); }},
    {"memory-limit", "quantity or `none`", "256Mi", "of the sidecar",
     [](View v, S& s) { return ReadMemoryLimit(v, s.resources.memory_limit); }},
    {"concurrency", "1 to 64", "2", "workers of the sidecar",
     [](View v, S& s) { return ReadConcurrency(v, s.concurrency); }},
    {"capture", "`cluster`, `all`", "cluster",
     "TCP to the Service and pod ranges, or every new TCP connection",
     [](View v, S& s) {
       return ReadWord(v, {"cluster", "all"}, s.capture);
     }},
    {"dns-capture", "`resolvers`, `all`", "resolvers",
     "port 53 of the pod's nameservers, or every port 53",
     [](View v, S& s) {
       return ReadWord(v, {"resolvers", "all"}, s.dns_capture);
     }},
    {"udp", "`off`, `tproxy`", "",
     "forward UDP too; the sidecar then needs NET_RAW. `off`, or with `capture: all` `tproxy`",
     [](View v, S& s) {
       return ReadWord(v, {"off", "tproxy"}, s.udp);
     }},
    {"include-cidrs", "CIDRs, comma between", "", "forward what goes there too",
     [](View v, S& s) { return ReadList<Cidr>(v, ReadCapturedCidr, s.include_cidrs); }},
    {"exclude-cidrs", "CIDRs, comma between", "", "never capture what goes there",
     [](View v, S& s) { return ReadList<Cidr>(v, ReadCidr, s.exclude_cidrs); }},
    {"include-ports", "ports, comma between", "", "forward what goes there, whatever the address",
     [](View v, S& s) { return ReadList<uint16_t>(v, ReadPort, s.include_ports); }},
    {"exclude-ports", "ports, comma between", "", "never capture what goes there",
     [](View v, S& s) { return ReadList<uint16_t>(v, ReadPort, s.exclude_ports); }},
    {"exclude-uids", "user ids, comma between", "", "never capture what these users send",
     [](View v, S& s) { return ReadList<uint32_t>(v, ReadUid, s.exclude_uids); }},
    {"endpoints", "`on-demand`, `eager`", "on-demand",
     "hold the endpoints of the Services that are used, or of all",
     [](View v, S& s) {
       return ReadWord(v, {"on-demand", "eager"}, s.endpoints);
     }},
    {"corefile", "a key of the ConfigMap `portolan-corefiles`", "default",
     "the Corefile that the sidecar is given",
     [](View v, S& s) { return ReadKeyName(v, s.corefile); }},
    {"drain-time", "duration", "5s", "how long connections may go on after SIGTERM",
     [](View v, S& s) { return ReadDuration(v, s.drain_time); }},
    {"report-names", "`true`, `false`", "true",
     "what the pod looks up is reported to the control plane",
     [](View v, S& s) {
       return ReadWord(v, {"true", "false"}, s.report_names);
     }},
    {"on-no-policy", "`open`, `closed`", "open",
     "what the pod may reach before its egress policies were ever known",
     [](View v, S& s) {
       return ReadWord(v, {"open", "closed"}, s.on_no_policy);
     }},
    {"denied-names", "`refused`, `nxdomain`", "refused",
     "the answer to names that no egress policy allows",
     [](View v, S& s) {
       return ReadWord(v, {"refused", "nxdomain"}, s.denied_names);
     }},
    {"learned-grace", "duration", "60s",
     "how long beyond its TTL an address of an allowed name may be reached",
     [](View v, S& s) { return ReadDuration(v, s.learned_grace); }},
    {"end-denied-connections", "`true`, `false`", "false",
     "a policy that denies what is connected over TCP ends it",
     [](View v, S& s) {
       return ReadWord(v, {"true", "false"}, s.end_denied_connections);
     }},
    {"enforce-ingress", "`true`, `false`", "false",
     "ingress policies are enforced for TCP that comes to the pod; the sidecar then needs NET_RAW",
     [](View v, S& s) {
       return ReadWord(v, {"true", "false"}, s.enforce_ingress);
     }},
    {"exclude-inbound-ports", "ports, comma between", "",
     "with `enforce-ingress`: who comes to these is not judged",
     [](View v, S& s) { return ReadList<uint16_t>(v, ReadPort, s.exclude_inbound_ports); }},
    {"check-server-name", "`true`, `false`", "false",
     "where a rule by name alone allows a connection, the name in its TLS ClientHello or HTTP/1 "
     "request must be allowed too",
     [](View v, S& s) {
       return ReadWord(v, {"true", "false"}, s.check_server_name);
     }},
    {"service-env", "`SERVICE`, `SERVICE.NAMESPACE`, either with `:PORT`; blank or comma between",
     "", "`SERVICE_SERVICE_HOST`, the DNS name, and `SERVICE_SERVICE_PORT` in every container",
     [](View v, S& s) { return ReadServiceEnv(v, s.service_env); }},
    {"admin-port", "port", "15000", "the sidecar's admin interface, on loopback",
     [](View v, S& s) { return ReadPort(v, s.admin_port); }},
    {"forward-port", "port", "15001", "the sidecar's forwarder, on loopback",
     [](View v, S& s) { return ReadPort(v, s.forward_port); }},
    {"dns-port", "port", "15053", "the sidecar's DNS server, on loopback",
     [](View v, S& s) { return ReadPort(v, s.dns_port); }},
    {"status-port", "port", "15020", "the sidecar's `/ready`, `/healthz` and `/metrics`",
     [](View v, S& s) { return ReadPort(v, s.status_port); }},
};

bool Above(const std::string& request, const std::string& limit) {
  return !request.empty() && !limit.empty() && *ParseQuantity(request) > *ParseQuantity(limit);
}

}  // namespace

std::string UdpCapture(const PodSettings& settings) {
  if (!settings.udp.empty()) return settings.udp;
  return settings.capture == "all" ? "tproxy" : "off";
}

bool CapturesAll(const PodSettings& settings) {
  return settings.capture == "all" && UdpCapture(settings) == "tproxy" &&
         settings.exclude_cidrs.empty() && settings.exclude_ports.empty() &&
         settings.exclude_uids.empty();
}

std::span<const PodSettingRow> PodSettingRows() { return kRows; }

const PodSettingRow* FindPodSetting(std::string_view name) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const PodSettingRow& r) { return r.name == name; });
  return row == std::end(kRows) ? nullptr : row;
}

std::string Conflict(const PodSettings& settings) {
  const Resources& resources = settings.resources;
  if (Above(resources.cpu_request, resources.cpu_limit)) {
    return fmt::format("cpu-request {} is above cpu-limit {}", resources.cpu_request,
                       resources.cpu_limit);
  }
  if (Above(resources.memory_request, resources.memory_limit)) {
    return fmt::format("memory-request {} is above memory-limit {}", resources.memory_request,
                       resources.memory_limit);
  }
  const std::array ports = {settings.admin_port, settings.forward_port, settings.dns_port,
                            settings.status_port};
  if (std::find(ports.begin(), ports.end(), kInboundPort) != ports.end()) {
    return fmt::format("{} is the sidecar's own, for what comes to the pod", kInboundPort);
  }
  for (size_t i = 1; i < ports.size(); ++i) {
    if (std::find(ports.begin(), ports.begin() + i, ports[i]) != ports.begin() + i) {
      return fmt::format("two of admin-port, forward-port, dns-port and status-port are {}",
                         ports[i]);
    }
  }
  return {};
}

}  // namespace portolan::injector
