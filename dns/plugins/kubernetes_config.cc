#include <algorithm>
#include <array>
#include <charconv>

#include "dns/plugins/kubernetes.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr uint32_t kMaxTtl = 3600;

// Arguments that say how CoreDNS reaches an API server; the feed takes their place.
constexpr std::array<std::string_view, 6> kNotNeeded = {
    "endpoint", "tls", "kubeconfig", "startup_timeout", "apiserver_qps", "apiserver_burst"};
// Arguments that change answers and are read, but not followed.
constexpr std::array<std::string_view, 8> kNotActive = {
    "namespaces",  "labels", "namespace_labels", "endpoint_pod_names",
    "noendpoints", "zonal",  "multicluster",     "ignore"};

bool Contains(const auto& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void Note(std::vector<std::string>* notes, const Token& token, std::string_view consequence) {
  if (notes == nullptr) return;
  notes->push_back(fmt::format("{}:{}:{}: kubernetes: '{}' {}", *token.file, token.line,
                               token.column, token.text, consequence));
}

absl::StatusOr<std::vector<wire::Zone>> ParseZones(const std::vector<Token>& tokens) {
  std::vector<wire::Zone> zones;
  for (const Token& token : tokens) {
    if (token.text.find('/') != std::string::npos) {
      return token.Error(
          fmt::format("'{}': write a reverse zone as a name (in-addr.arpa, ip6.arpa)", token.text));
    }
    auto zone = wire::Zone::Parse(token.text);
    if (!zone.ok()) return token.Error(Message(zone.status()));
    zones.push_back(*std::move(zone));
  }
  return zones;
}

absl::Status ParseTtl(const Directive& line, KubernetesConfig& config) {
  if (line.arguments.size() != 1) return line.name.Error("ttl takes one number of seconds");
  const std::string& text = line.arguments[0].text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), config.ttl);
  if (error != std::errc() || end != text.data() + text.size() || config.ttl > kMaxTtl) {
    return line.arguments[0].Error(
        fmt::format("ttl '{}' is not a number from 0 to {}", text, kMaxTtl));
  }
  return absl::OkStatus();
}

absl::Status ParsePods(const Directive& line, KubernetesConfig& config,
                       std::vector<std::string>* notes) {
  if (line.arguments.size() != 1) return line.name.Error("pods takes one word");
  const Token& mode = line.arguments[0];
  if (mode.text == "disabled") {
    config.pods = KubernetesConfig::Pods::kDisabled;
  } else if (mode.text == "insecure") {
    config.pods = KubernetesConfig::Pods::kInsecure;
  } else if (mode.text == "verified") {
    config.pods = KubernetesConfig::Pods::kVerified;
    Note(notes, mode, "is not yet active: names of pods go on to the next plugin");
  } else {
    return mode.Error(
        fmt::format("pods '{}': known are disabled, insecure and verified", mode.text));
  }
  return absl::OkStatus();
}

absl::Status ParseFallthrough(const Directive& line, KubernetesConfig& config) {
  if (line.arguments.empty()) {
    config.fallthrough = config.zones;
    return absl::OkStatus();
  }
  auto zones = ParseZones(line.arguments);
  if (!zones.ok()) return zones.status();
  config.fallthrough = *std::move(zones);
  return absl::OkStatus();
}

absl::Status ParseLine(const Directive& line, KubernetesConfig& config,
                       std::vector<std::string>* notes) {
  const std::string& word = line.name.text;
  if (word == "ttl") return ParseTtl(line, config);
  if (word == "pods") return ParsePods(line, config, notes);
  if (word == "fallthrough") return ParseFallthrough(line, config);
  if (Contains(kNotNeeded, word)) {
    Note(notes, line.name, "is not needed here: the control plane reads the Kubernetes API");
  } else if (Contains(kNotActive, word)) {
    Note(notes, line.name, "is not yet active: answers are as without it");
  } else {
    return line.name.Error(fmt::format("kubernetes does not know '{}'", word));
  }
  return absl::OkStatus();
}

// Reverse zones that fall through are the next directive's, as in CoreDNS.
std::vector<wire::Zone> ClusterDnsZones(const KubernetesConfig& config) {
  auto falls_through = [&](const wire::Zone& zone) {
    return std::any_of(config.fallthrough.begin(), config.fallthrough.end(),
                       [&](const wire::Zone& listed) { return listed.wire == zone.wire; });
  };
  std::vector<wire::Zone> zones;
  for (const wire::Zone& zone : config.zones) {
    const bool reverse = zone.text.ends_with("in-addr.arpa.") || zone.text.ends_with("ip6.arpa.");
    if (!reverse || !falls_through(zone)) zones.push_back(zone);
  }
  return zones;
}

}  // namespace

absl::StatusOr<KubernetesConfig> ParseKubernetes(const Directive& directive,
                                                 const std::vector<wire::Zone>& block_zones,
                                                 std::vector<std::string>* notes) {
  KubernetesConfig config;
  auto zones = ParseZones(directive.arguments);
  if (!zones.ok()) return zones.status();
  config.zones = zones->empty() ? block_zones : *std::move(zones);
  for (const wire::Zone& zone : config.zones) {
    if (!config.primary.has_value() && !zone.text.ends_with(".arpa.")) config.primary = zone;
  }
  std::stable_sort(config.zones.begin(), config.zones.end(),
                   [](const auto& a, const auto& b) { return a.labels > b.labels; });
  for (const Directive& line : directive.block) {
    if (absl::Status status = ParseLine(line, config, notes); !status.ok()) return status;
  }
  return config;
}

absl::Status LoadKubernetes(const Directive& directive, LoadContext& context) {
  auto config = ParseKubernetes(directive, context.zones(), context.notes());
  if (!config.ok()) return config.status();
  context.cluster_dns_zones() = ClusterDnsZones(*config);
  context.AddLink([config = *std::move(config)](const PluginContext& worker) {
    return std::make_unique<Kubernetes>(config, worker.cluster);
  });
  return absl::OkStatus();
}

}  // namespace portolan::dns
