// portolan-init: writes, verifies and removes the iptables rules that lead a pod's DNS, TCP and UDP
// to its sidecar. Runs as an init container with NET_ADMIN. docs/capture.md is its manual.

#include <iostream>
#include <map>

#include "common/flags.h"
#include "common/log.h"
#include "common/status.h"
#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "proxy/capture/resolv_conf.h"

namespace portolan::proxy {
namespace {

enum class Action { kNone, kApply, kVerify, kClean };

struct CommandLine {
  Action action = Action::kNone;
  bool print = false;
  BackendChoice backend = BackendChoice::kAuto;
  std::string resolv_conf = "/etc/resolv.conf";
  std::string log_level = "info";
  std::string log_format = "text";
  CaptureSettings capture;
};

// An option whose value is one of a few words.
template <typename T>
void AddChoice(CLI::App& app, const std::string& name, T& out, const std::string& help,
               const std::map<std::string, T>& words) {
  app.add_option_function<std::string>(
         name, [&out, words](const std::string& word) { out = words.at(word); }, help)
      ->check(CLI::IsMember(words));
}

void AddCaptureFlags(CLI::App& app, CommandLine& line) {
  CaptureSettings& capture = line.capture;
  // A list is given by repeating its flag: "--pod-cidr A apply" must not take `apply` for a range.
  auto one_each = [](CLI::Option* option) { return option->allow_extra_args(false); };
  app.add_option("--dns-port", capture.dns_port, "where the sidecar's DNS listens")
      ->capture_default_str();
  app.add_option("--forward-port", capture.forward_port, "where the sidecar's forwarder listens")
      ->capture_default_str();
  app.add_option("--inbound-port", capture.inbound_port,
                 "where the sidecar listens for what comes to the pod")
      ->capture_default_str();
  one_each(app.add_option("--exclude-inbound-port", capture.exclude_inbound_ports,
                          "never capture what comes to this port"));
  one_each(AddFlag(app, "--service-cidr", capture.service_cidrs, "Service range of the cluster"));
  one_each(AddFlag(app, "--pod-cidr", capture.pod_cidrs, "pod range of the cluster"));
  one_each(AddFlag(app, "--include-cidr", capture.include_cidrs, "forward what goes to these too"));
  one_each(app.add_option("--include-port", capture.include_ports,
                          "forward what goes to this port, whatever the address"));
  one_each(AddFlag(app, "--exclude-cidr", capture.exclude_cidrs, "never capture what goes there"));
  one_each(app.add_option("--exclude-port", capture.exclude_ports,
                          "never capture what goes to this port"));
  one_each(app.add_option("--exempt-uid", capture.exempt_uids, "the sidecar's user"))
      ->capture_default_str();
  one_each(app.add_option("--exempt-gid", capture.exempt_gids, "the sidecar's group"))
      ->capture_default_str();
  one_each(
      app.add_option("--exclude-uid", capture.exclude_uids, "never capture what this user sends"));
  app.add_option("--resolv-conf", line.resolv_conf, "whose nameservers are captured")
      ->capture_default_str();
}

absl::Status Finish(CommandLine& line) {
  if (line.action == Action::kNone && !line.print) {
    return InvalidArgument("say one of apply, verify, clean, or --print");
  }
  log::SetFormat(line.log_format);
  if (auto status = log::SetLevel(line.log_level); !status.ok()) return status;
  return Validate(line.capture);
}

int Failed(const absl::Status& status) {
  log::error("{}", Message(status));
  return kExitFailed;
}

int RunApply(Netfilter& netfilter, PolicyRouting& routing, const CommandLine& line) {
  auto applied = Apply(netfilter, routing, line.backend, line.capture);
  return applied.ok() ? kExitOk : Failed(applied.status());
}

int RunVerify(Netfilter& netfilter, PolicyRouting& routing, const CommandLine& line) {
  auto differences = Verify(netfilter, routing, line.backend, line.capture);
  if (!differences.ok()) return Failed(differences.status());
  for (const std::string& difference : *differences) std::cout << difference << '\n';
  if (!differences->empty()) return kExitFailed;
  std::cout << "all rules are as wanted\n";
  return kExitOk;
}

int RunClean(Netfilter& netfilter, PolicyRouting& routing) {
  const absl::Status status = Clean(netfilter, routing);
  return status.ok() ? kExitOk : Failed(status);
}

void ReadResolvConf(CommandLine& line) {
  if (line.capture.dns == DnsCapture::kAll) return;
  Nameservers nameservers = ReadNameservers(line.resolv_conf);
  for (const std::string& warning : nameservers.warnings) log::warn("{}", warning);
  line.capture.nameservers = std::move(nameservers.addresses);
}

int Run(CommandLine& line) {
  IptablesTools tools;
  IpTool routing;
  if (line.action == Action::kClean && !line.print) return RunClean(tools, routing);
  ReadResolvConf(line);
  for (const std::string& warning : Warnings(line.capture)) log::warn("{}", warning);
  if (line.print) {
    std::cout << Print(line.capture,
                       line.action == Action::kClean ? Printed::kClean : Printed::kApply);
    return kExitOk;
  }
  return line.action == Action::kApply ? RunApply(tools, routing, line)
                                       : RunVerify(tools, routing, line);
}

int Main(int argc, const char* const* argv) {
  log::Start("portolan-init", spdlog::level::info);
  CLI::App app("Leads a pod's DNS, TCP and UDP to its sidecar, by iptables rules.",
               "portolan-init");
  AddCommonFlags(app, PORTOLAN_VERSION);
  CommandLine line;
  AddChoice<Action>(
      app, "action", line.action, "apply, verify or clean",
      {{"apply", Action::kApply}, {"verify", Action::kVerify}, {"clean", Action::kClean}});
  app.add_flag("--print", line.print, "print the rules instead, without touching the kernel");
  AddChoice<BackendChoice>(app, "--backend", line.backend,
                           "auto (where the pod's rules are, else nft), nft or legacy",
                           {{"auto", BackendChoice::kAuto},
                            {"nft", BackendChoice::kNft},
                            {"legacy", BackendChoice::kLegacy}});
  AddChoice<DnsCapture>(app, "--dns-capture", line.capture.dns,
                        "resolvers (port 53 of resolv.conf's nameservers) or all (every port 53)",
                        {{"resolvers", DnsCapture::kResolvers}, {"all", DnsCapture::kAll}});
  AddChoice<ForwardCapture>(app, "--capture", line.capture.forward,
                            "cluster (TCP to Service and pod ranges) or all (every TCP)",
                            {{"cluster", ForwardCapture::kCluster}, {"all", ForwardCapture::kAll}});
  AddChoice<UdpCapture>(app, "--udp", line.capture.udp,
                        "off (none but DNS) or tproxy (UDP to Service ranges, or every UDP with "
                        "--capture all); portolan-proxy must be told the same",
                        {{"off", UdpCapture::kOff}, {"tproxy", UdpCapture::kTproxy}});
  AddChoice<InboundCapture>(app, "--inbound", line.capture.inbound,
                            "off or tproxy (TCP that comes to the pod); portolan-proxy must be "
                            "told the same",
                            {{"off", InboundCapture::kOff}, {"tproxy", InboundCapture::kTproxy}});
  AddCaptureFlags(app, line);
  AddLogFlags(app, line.log_level, line.log_format);
  if (auto status = ParseFlags(app, argc, argv)) return *status;
  if (auto status = Finish(line); !status.ok()) {
    std::cerr << Message(status) << '\n';
    return kExitUsage;
  }
  return Run(line);
}

}  // namespace
}  // namespace portolan::proxy

int main(int argc, char** argv) { return portolan::proxy::Main(argc, argv); }
