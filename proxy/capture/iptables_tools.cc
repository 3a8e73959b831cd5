#include "proxy/capture/iptables_tools.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include "common/files.h"
#include "common/status.h"
#include "proxy/capture/diagnosis.h"
#include "proxy/capture/tool.h"

namespace portolan::proxy {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(30);

std::string ToolName(Backend backend, IpFamily family, std::string_view action) {
  return fmt::format("{}-{}-{}", family == IpFamily::kIpv4 ? "iptables" : "ip6tables",
                     Name(backend), action);
}

absl::StatusOr<std::string> Run(Backend backend, IpFamily family,
                                const std::vector<std::string>& command, const std::string& input) {
  auto result = RunTool(command, input, kLimit);
  if (absl::IsNotFound(result.status())) {
    return NotFound("{} (Debian's package iptables has it)", Message(result.status()));
  }
  if (!result.ok()) return result.status();
  if (result->exit_status != 0) {
    return Diagnose(command[0], backend, family, result->err, input);
  }
  return std::move(result->out);
}

}  // namespace

std::string_view Name(Backend backend) { return backend == Backend::kNft ? "nft" : "legacy"; }

std::string_view Name(IpFamily family) { return family == IpFamily::kIpv4 ? "IPv4" : "IPv6"; }

absl::StatusOr<std::string> IptablesTools::Save(Backend backend, IpFamily family) {
  return Run(backend, family, {ToolName(backend, family, "save")}, "");
}

absl::Status IptablesTools::Restore(Backend backend, IpFamily family, const std::string& input) {
  return Run(backend, family, {ToolName(backend, family, "restore"), "--noflush", "--wait", "10"},
             input)
      .status();
}

bool IptablesTools::HasIpv6() {
  std::error_code error;
  for (const auto& interface : std::filesystem::directory_iterator(ipv6_conf_dir_, error)) {
    // `all` and `default` are no interfaces: each interface has the last word.
    const auto name = interface.path().filename();
    if (name == "all" || name == "default") continue;
    auto disabled = ReadFile((interface.path() / "disable_ipv6").string(), 16);
    if (disabled.ok() && disabled->starts_with("0")) return true;
  }
  return false;
}

// proc(5): address, interface, bits of the prefix, scope, flags, name; scope 00 is global.
bool IptablesTools::HasGlobalIpv6() {
  std::ifstream addresses(ipv6_addresses_);
  std::string address, interface, bits, scope, flags, name;
  while (addresses >> address >> interface >> bits >> scope >> flags >> name) {
    if (scope == "00") return true;
  }
  return false;
}

}  // namespace portolan::proxy
