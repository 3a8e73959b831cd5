#include "proxy/capture/policy_routing.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/capture/rules.h"

namespace portolan::proxy {
namespace {

constexpr std::string_view kLocalRoute = "local default dev lo";

std::string_view Trimmed(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line.substr(0, line.find_last_not_of(" \t") + 1);
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (const std::string_view words = Trimmed(line); !words.empty()) lines.emplace_back(words);
  }
  return lines;
}

// "15001:\tfrom all ..." without the priority.
std::string RuleOf(const std::string& line) {
  const size_t colon = line.find(':');
  return std::string(Trimmed(std::string_view(line).substr(colon == line.npos ? 0 : colon + 1)));
}

// The tool adds what the kernel filled in, not alike in both families: scope, metric, preference.
std::string RouteOf(const std::string& line) {
  const bool ours = line == kLocalRoute || line.starts_with(fmt::format("{} ", kLocalRoute));
  return ours ? std::string(kLocalRoute) : line;
}

void Compare(std::string_view kind, const std::vector<std::string>& wanted,
             const std::vector<std::string>& found, std::vector<std::string>& differences) {
  for (const std::string& line : wanted) {
    const auto times = std::count(found.begin(), found.end(), line);
    if (times == 0) differences.push_back(fmt::format("routing: {} missing: {}", kind, line));
    if (times > 1) {
      differences.push_back(fmt::format("routing: {} there {} times: {}", kind, times, line));
    }
  }
  for (const std::string& line : found) {
    if (std::count(wanted.begin(), wanted.end(), line) > 0) continue;
    differences.push_back(fmt::format("routing: {} not wanted: {}", kind, line));
  }
}

}  // namespace

PolicyRoute WantedPolicyRoute(const CaptureSettings& settings) {
  if (settings.udp == UdpCapture::kOff && settings.inbound == InboundCapture::kOff) return {};
  return {.rules = {fmt::format("from all fwmark {} lookup {}", kToLoMark, kToLoTable)},
          .routes = {std::string(kLocalRoute)}};
}

absl::StatusOr<PolicyRoute> ReadPolicyRoute(PolicyRouting& routing, IpFamily family) {
  auto rules = routing.Rules(family);
  if (!rules.ok()) return rules.status();
  auto routes = routing.Routes(family);
  if (!routes.ok()) return routes.status();
  PolicyRoute found{.rules = Lines(*rules), .routes = Lines(*routes)};
  std::transform(found.rules.begin(), found.rules.end(), found.rules.begin(), RuleOf);
  std::transform(found.routes.begin(), found.routes.end(), found.routes.begin(), RouteOf);
  return found;
}

std::vector<std::string> Differences(const PolicyRoute& wanted, const PolicyRoute& found) {
  std::vector<std::string> differences;
  Compare("rule", wanted.rules, found.rules, differences);
  Compare("route", wanted.routes, found.routes, differences);
  return differences;
}

std::vector<std::string> Commands(const PolicyRoute& wanted, const PolicyRoute& found) {
  std::vector<std::string> commands;
  const bool rules_differ = wanted.rules != found.rules;
  const bool routes_differ = wanted.routes != found.routes;
  // The rule stands only while its table does: without a route there, marked packets would go on to
  // the main table.
  if (rules_differ) {
    commands.insert(commands.end(), found.rules.size(),
                    fmt::format("rule del pref {}", kToLoTable));
  }
  if (routes_differ) {
    if (!found.routes.empty()) {
      commands.push_back(fmt::format("route flush table {}", kToLoTable));
    }
    for (const std::string& route : wanted.routes) {
      commands.push_back(fmt::format("route add {} table {}", route, kToLoTable));
    }
  }
  if (rules_differ) {
    for (const std::string& rule : wanted.rules) {
      commands.push_back(fmt::format("rule add pref {} {}", kToLoTable, rule));
    }
  }
  return commands;
}

}  // namespace portolan::proxy
