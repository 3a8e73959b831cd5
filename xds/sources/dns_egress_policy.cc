#include "xds/sources/dns_egress_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "xds/sources/network_policy.h"
#include "xds/sources/objects.h"
#include "xds/sources/read_fields.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
constexpr std::string_view kBelow = "*.";

bool IsNameLabel(std::string_view label) {
  const auto may_stand = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= kMaxLabelBytes &&
         std::all_of(label.begin(), label.end(), may_stand);
}

bool IsName(std::string_view name) {
  if (name.size() > kMaxNameBytes) return false;
  for (;;) {
    const size_t dot = name.find('.');
    if (!IsNameLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

NetworkPolicyPort ReadRulePort(const Field& item) {
  NetworkPolicyPort result;
  const Field protocol = item["protocol"];
  const Field port = item["port"];
  const Field end = item["endPort"];
  result.protocol =
      ReadWord<Protocol>(protocol, {{"TCP", Protocol::kTcp}, {"UDP", Protocol::kUdp}});
  if (port.present()) result.port = ReadPort(port);
  result.end_port = ReadEndPort(end, result.port);
  return result;
}

DnsEgressRule ReadRule(const Field& item) {
  DnsEgressRule rule;
  const Field names = item["names"];
  const Field ports = item["ports"];
  rule.names = ReadNamePatterns(names, kMostNamesPerRule);
  ports.ForEachItem([&](const Field& port) { rule.ports.push_back(ReadRulePort(port)); });
  return rule;
}

}  // namespace

std::optional<NamePattern> ParseNamePattern(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  const bool below = text.starts_with(kBelow);
  if (below) text.remove_prefix(kBelow.size());
  if (!IsName(text)) return std::nullopt;
  return NamePattern{absl::AsciiStrToLower(std::string(text)), below};
}

std::vector<NamePattern> ReadNamePatterns(const Field& list, size_t most) {
  std::vector<NamePattern> names;
  list.ForEachItem([&](const Field& name) {
    if (auto pattern = ParseNamePattern(name.String())) {
      names.push_back(*std::move(pattern));
    } else {
      name.Fail(fmt::format("'{}' is neither a DNS name nor '*.' before one", name.String()));
    }
  });
  if (names.empty()) list.Fail("is missing");
  if (names.size() > most) list.Fail(fmt::format("more than {} names", most));
  return names;
}

DnsEgressPolicy ReadDnsEgressPolicy(const Field& object, const Origin& origin) {
  DnsEgressPolicy policy;
  policy.name = NameOf(object);
  policy.origin = origin;
  const Field metadata = object["metadata"];
  const Field generation = metadata["generation"];
  const Field spec = object["spec"];
  const Field pods = spec["podSelector"];
  const Field deny = spec["defaultDeny"];
  const Field audit = spec["audit"];
  const Field rules = spec["rules"];
  policy.api_generation = generation.Int(0);
  policy.pods = ReadSelector(pods);
  policy.default_deny = deny.Bool(false);
  policy.audit = audit.Bool(false);
  rules.ForEachItem([&](const Field& item) {
    policy.rules.push_back(ReadRule(item));
    policy.rules.back().index = static_cast<uint32_t>(policy.rules.size() - 1);
  });
  if (policy.rules.size() > kMostDnsRules) {
    rules.Fail(fmt::format("more than {} rules", kMostDnsRules));
  }
  return policy;
}

}  // namespace portolan::xds
