#include "dns/plugins/kubernetes_config.h"

#include <algorithm>
#include <array>
#include <memory>

#include "common/nearest.h"
#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using Zones = std::vector<wire::Zone>;

constexpr uint32_t kMaxTtl = 3600;

// https://coredns.io/plugins/kubernetes/
constexpr std::array<std::string_view, 11> kOptions = {
    "namespaces", "labels",      "namespace_labels",   "pods",
    "ttl",        "fallthrough", "endpoint_pod_names", "noendpoints",
    "zonal",      "ignore",      "multicluster"};
// Those that say how CoreDNS reaches an API server; the feed takes their place.
constexpr std::array<std::string_view, 7> kNotNeeded = {"endpoint",
                                                        "tls",
                                                        "kubeconfig",
                                                        "startup_timeout",
                                                        "apiserver_qps",
                                                        "apiserver_burst",
                                                        "apiserver_max_inflight"};

bool Contains(const auto& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool Lists(const Zones& zones, const wire::Zone& zone) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const wire::Zone& listed) { return listed.wire == zone.wire; });
}

void Note(std::vector<std::string>* notes, const Token& token, std::string_view consequence) {
  if (notes != nullptr) AddNote(notes, token, "kubernetes", consequence);
}

absl::Status ParseTtl(const Directive& line, KubernetesConfig& config) {
  if (line.arguments.size() != 1) return line.name.Error("ttl takes one number of seconds");
  auto ttl = ParseNumber(line.arguments[0], kMaxTtl);
  if (!ttl.ok()) return ttl.status();
  config.ttl = static_cast<uint32_t>(*ttl);
  return absl::OkStatus();
}

absl::Status ParsePods(const Directive& line, KubernetesConfig& config) {
  if (absl::Status status = CheckArguments(line, 1, 1); !status.ok()) return status;
  const Token& mode = line.arguments[0];
  constexpr std::string_view kModes[] = {"disabled", "insecure", "verified"};
  const auto* found = std::find(std::begin(kModes), std::end(kModes), mode.text);
  if (found == std::end(kModes)) {
    return mode.Error(fmt::format("pods '{}': known are disabled, insecure and verified{}",
                                  mode.text, DidYouMean(mode.text, kModes)));
  }
  config.pods = static_cast<KubernetesConfig::Pods>(found - kModes);
  return absl::OkStatus();
}

absl::Status ParseFallthrough(const Directive& line, KubernetesConfig& config) {
  auto zones = corefile::ParseZones(line.arguments);
  if (!zones.ok()) return zones.status();
  config.fallthrough = zones->empty() ? config.zones : *std::move(zones);
  return absl::OkStatus();
}

absl::Status ParseMulticluster(const Directive& line, KubernetesConfig& config) {
  for (const Token& token : line.arguments) {
    auto zones = corefile::ParseZones(token);
    if (!zones.ok()) return zones.status();
    for (wire::Zone& zone : *zones) {
      if (!Lists(config.zones, zone)) {
        return token.Error(
            fmt::format("'{}': multicluster takes zones of the kubernetes directive", token.text));
      }
      config.multicluster.push_back(std::move(zone));
    }
  }
  return absl::OkStatus();
}

absl::Status ParseSelector(const Directive& line, std::optional<LabelSelector>& selector) {
  if (line.arguments.empty()) {
    return line.name.Error(fmt::format("{} needs a label selector", line.name.text));
  }
  auto parsed = LabelSelector::Parse(line.arguments);
  if (!parsed.ok()) return parsed.status();
  selector = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status ParseNamespaces(const Directive& line, KubernetesConfig& config) {
  if (line.arguments.empty()) return line.name.Error("namespaces needs at least one name");
  for (const Token& token : line.arguments) config.namespaces.push_back(token.text);
  return absl::OkStatus();
}

absl::Status ParseIgnore(const Directive& line, KubernetesConfig& config,
                         std::vector<std::string>* notes) {
  constexpr std::string_view kKnown[] = {"empty_service"};
  if (line.arguments.empty()) {
    Note(notes, line.name, "has no effect without 'empty_service'");
    return absl::OkStatus();
  }
  const Token& what = line.arguments[0];
  if (what.text != kKnown[0]) {
    return what.Error(fmt::format("ignore '{}': known is empty_service{}", what.text,
                                  DidYouMean(what.text, kKnown)));
  }
  config.ignore_empty_service = true;
  return absl::OkStatus();
}

absl::Status ParseSwitch(const Directive& line, KubernetesConfig& config) {
  if (absl::Status status = CheckArguments(line, 0, 0); !status.ok()) return status;
  const std::string& word = line.name.text;
  if (word == "noendpoints") config.endpoints = false;
  if (word == "zonal") config.zonal = true;
  if (word == "endpoint_pod_names") config.naming = EndpointNaming::kPod;
  return absl::OkStatus();
}

absl::Status ParseLine(const Directive& line, KubernetesConfig& config,
                       std::vector<std::string>* notes) {
  const std::string& word = line.name.text;
  if (word == "ttl") return ParseTtl(line, config);
  if (word == "pods") return ParsePods(line, config);
  if (word == "fallthrough") return ParseFallthrough(line, config);
  if (word == "namespaces") return ParseNamespaces(line, config);
  if (word == "labels") return ParseSelector(line, config.labels);
  if (word == "namespace_labels") return ParseSelector(line, config.namespace_labels);
  if (word == "ignore") return ParseIgnore(line, config, notes);
  if (word == "multicluster") return ParseMulticluster(line, config);
  if (Contains(kOptions, word)) return ParseSwitch(line, config);
  if (Contains(kNotNeeded, word)) {
    Note(notes, line.name, "not needed here: the control plane reads the Kubernetes API");
    return absl::OkStatus();
  }
  std::vector<std::string_view> known(kOptions.begin(), kOptions.end());
  known.insert(known.end(), kNotNeeded.begin(), kNotNeeded.end());
  return UnknownOption(line, "kubernetes", known);
}

// Reverse zones that fall through are the next directive's, as in CoreDNS.
Zones ClusterDnsZones(const KubernetesConfig& config) {
  Zones zones;
  for (const wire::Zone& zone : config.zones) {
    if (!IsReverse(zone) || !Lists(config.fallthrough, zone)) zones.push_back(zone);
  }
  return zones;
}

}  // namespace

bool IsReverse(const wire::Zone& zone) {
  return zone.text.ends_with("in-addr.arpa.") || zone.text.ends_with("ip6.arpa.");
}

absl::StatusOr<KubernetesConfig> ParseKubernetes(const Directive& directive,
                                                 const Zones& block_zones,
                                                 std::vector<std::string>* notes) {
  KubernetesConfig config;
  auto zones = corefile::ParseZones(directive.arguments);
  if (!zones.ok()) return zones.status();
  config.zones = zones->empty() ? block_zones : *std::move(zones);
  for (const wire::Zone& zone : config.zones) {
    if (!config.primary.has_value() && !IsReverse(zone)) config.primary = zone;
  }
  if (!config.primary.has_value()) {
    return directive.name.Error("kubernetes needs a zone that is not a reverse zone");
  }
  std::stable_sort(config.zones.begin(), config.zones.end(),
                   [](const auto& a, const auto& b) { return a.labels > b.labels; });
  for (const Directive& line : directive.block) {
    if (absl::Status status = ParseLine(line, config, notes); !status.ok()) return status;
  }
  if (!config.namespaces.empty() && config.namespace_labels.has_value()) {
    return directive.name.Error("kubernetes takes namespaces or namespace_labels, not both");
  }
  return config;
}

absl::Status LoadKubernetes(const Directive& directive, LoadContext& context) {
  auto config = ParseKubernetes(directive, context.zones(), context.notes());
  if (!config.ok()) return config.status();
  context.cluster_dns_zones() = ClusterDnsZones(*config);
  *context.kubernetes() = *config;
  context.AddLink([config = *std::move(config)](const PluginContext& worker) {
    return std::make_unique<Kubernetes>(config, Kubernetes::Of(worker));
  });
  return absl::OkStatus();
}

}  // namespace portolan::dns
