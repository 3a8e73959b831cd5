#include "proxy/capture/ip_tool.h"

#include <sstream>

#include "common/status.h"
#include "proxy/capture/tool.h"

namespace portolan::proxy {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(30);

absl::StatusOr<ToolResult> Run(IpFamily family, const std::string& arguments) {
  std::vector<std::string> command = {"ip", family == IpFamily::kIpv4 ? "-4" : "-6"};
  std::istringstream words(arguments);
  for (std::string word; words >> word;) command.push_back(word);
  auto result = RunTool(command, "", kLimit);
  if (absl::IsNotFound(result.status())) {
    return NotFound("{} (Debian's package iproute2 has it)", Message(result.status()));
  }
  return result;
}

// The words are the kernel's own, of strerror(3).
absl::Status Diagnose(const std::string& arguments, const ToolResult& result) {
  const std::string complaint = result.err.substr(0, result.err.find('\n'));
  const std::string what = fmt::format("ip {}: {}", arguments, complaint);
  const auto says = [&](std::string_view words) {
    return result.err.find(words) != result.err.npos;
  };
  if (says("Operation not permitted")) {
    return absl::PermissionDeniedError(
        fmt::format("{}: the container must run as root with the capability NET_ADMIN", what));
  }
  if (says("not supported")) {
    return absl::UnavailableError(
        fmt::format("{}: the node's kernel lacks policy routing (CONFIG_IP_MULTIPLE_TABLES, "
                    "CONFIG_IPV6_MULTIPLE_TABLES), which --udp tproxy needs",
                    what));
  }
  return absl::InternalError(what);
}

absl::StatusOr<std::string> Print(IpFamily family, const std::string& arguments) {
  auto result = Run(family, arguments);
  if (!result.ok()) return result.status();
  if (result->exit_status == 0) return std::move(result->out);
  if (result->err.find("table does not exist") != std::string::npos) return std::string();
  return Diagnose(arguments, *result);
}

}  // namespace

absl::StatusOr<std::string> IpTool::Rules(IpFamily family) {
  return Print(family, fmt::format("rule show pref {}", kToLoTable));
}

absl::StatusOr<std::string> IpTool::Routes(IpFamily family) {
  return Print(family, fmt::format("route show table {}", kToLoTable));
}

absl::Status IpTool::Change(IpFamily family, const std::string& command) {
  return Print(family, command).status();
}

}  // namespace portolan::proxy
