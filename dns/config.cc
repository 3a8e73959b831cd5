#include "dns/config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/errors.h"
#include "dns/plugins/forward.h"
#include "dns/plugins/hosts.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/loadbalance.h"
#include "dns/plugins/registry.h"
#include "dns/upstream/random.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::ServerBlock;
using corefile::Token;

std::string Place(const Token& token) {
  return fmt::format("{}:{}:{}: {}", *token.file, token.line, token.column, token.text);
}

wire::Zone Root() { return *wire::Zone::Parse("."); }

bool IsReverse(const wire::Zone& zone) {
  return zone.text.ends_with("in-addr.arpa.") || zone.text.ends_with("ip6.arpa.");
}

bool Lists(const std::vector<wire::Zone>& zones, const wire::Zone& zone) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const wire::Zone& listed) { return listed.wire == zone.wire; });
}

bool Has(const ServerBlock& block, std::string_view directive) {
  return std::any_of(block.directives.begin(), block.directives.end(),
                     [&](const Directive& d) { return d.name.text == directive; });
}

Config::MakeLink MakeForward(ForwardConfig config) {
  return [config = std::move(config)](const PluginContext& context) {
    return std::make_unique<Forward>(config, context.pod_resolvers, context.upstream);
  };
}

// What `kubernetes` passes on because the feed is away or the answer is not in the directory. A
// `forward` to a public resolver would deny it; the cluster DNS knows. Reverse zones that fall
// through are the next directive's, as in CoreDNS.
std::vector<wire::Zone> ClusterDnsZones(const KubernetesConfig& config) {
  std::vector<wire::Zone> zones;
  for (const wire::Zone& zone : config.zones) {
    if (!IsReverse(zone) || !Lists(config.fallthrough, zone)) zones.push_back(zone);
  }
  return zones;
}

// The zones that `file`, `auto`, `secondary`, `etcd` or `k8s_external` is given, or the block's.
absl::StatusOr<std::vector<wire::Zone>> ZonesOfForwarded(const Directive& directive,
                                                         const std::vector<wire::Zone>& block) {
  const size_t first = directive.name.text == "file" ? 1 : 0;  // file DBFILE [ZONES...]
  if (directive.arguments.size() < first) return directive.name.Error("file needs a zone file");
  auto zones = corefile::ParseZones(std::vector<Token>(
      directive.arguments.begin() + static_cast<ptrdiff_t>(first), directive.arguments.end()));
  if (!zones.ok()) return zones.status();
  return zones->empty() ? block : *std::move(zones);
}

}  // namespace

class ConfigLoader {
 public:
  explicit ConfigLoader(const LoadOptions& options) : options_(options), config_(new Config) {}

  absl::StatusOr<std::shared_ptr<const Config>> Load(const corefile::Corefile& corefile) {
    for (const ServerBlock& block : corefile.blocks) {
      absl::Status status = LoadBlock(block);
      if (!status.ok()) return status;
    }
    AddRoot();
    return std::shared_ptr<const Config>(std::move(config_));
  }

 private:
  struct Definition {
    int line;
    bool has_view;
  };

  // A link with its place in CoreDNS's order. Links of one directive keep the file's order.
  struct PlacedLink {
    size_t place;
    Config::MakeLink make;
  };

  absl::Status LoadBlock(const ServerBlock& block) {
    auto zones = LoadKeys(block);
    if (!zones.ok()) return zones.status();
    links_.clear();
    cluster_dns_zones_.clear();
    absl::Status status = CheckDirectives(block);
    if (!status.ok()) return status;
    for (const Directive& directive : block.directives) {
      status = LoadDirective(directive, *zones);
      if (!status.ok()) return status;
    }
    AddPodResolvers(block, *zones);
    std::stable_sort(links_.begin(), links_.end(),
                     [](const PlacedLink& a, const PlacedLink& b) { return a.place < b.place; });
    Config::Block out;
    out.zones = ClaimZones(block, *std::move(zones));
    for (PlacedLink& link : links_) out.links.push_back(std::move(link.make));
    if (!out.zones.empty()) config_->blocks_.push_back(std::move(out));
    return absl::OkStatus();
  }

  // The zones of the keys that are served at all.
  absl::StatusOr<std::vector<wire::Zone>> LoadKeys(const ServerBlock& block) {
    std::vector<wire::Zone> zones;
    for (const Token& token : block.keys) {
      auto key = corefile::ParseServerKey(token);
      if (!key.ok()) return key.status();
      absl::Status status = CheckDefinedOnce(token, *key, block);
      if (!status.ok()) return status;
      if (key->scheme != "dns") {
        config_->notes_.push_back(Place(token) +
                                  ": not served: the sidecar serves plain DNS to its own pod only");
        continue;
      }
      if (key->explicit_port) {
        config_->notes_.push_back(
            fmt::format("{}: port {} is not opened: the sidecar's own listen address holds",
                        Place(token), key->port));
      }
      for (wire::Zone& zone : key->zones) {
        if (Lists(zones, zone)) continue;
        server_of_[zone.text] = fmt::format("{}://:{}", key->scheme, key->port);
        zones.push_back(std::move(zone));
      }
    }
    return zones;
  }

  absl::Status CheckDefinedOnce(const Token& token, const corefile::ServerKey& key,
                                const ServerBlock& block) {
    const bool has_view = Has(block, "view");
    for (const wire::Zone& zone : key.zones) {
      const std::string name = fmt::format("{}://{}:{}", key.scheme, zone.text, key.port);
      const auto [earlier, is_new] = defined_.emplace(name, Definition{token.line, has_view});
      // Blocks with `view` share a key on purpose.
      if (!is_new && !has_view && !earlier->second.has_view) {
        return token.Error(
            fmt::format("{} is already defined on line {}", name, earlier->second.line));
      }
    }
    return absl::OkStatus();
  }

  // One listen address serves all blocks, so of two with the same zone, on other ports or with
  // views, the first has it.
  std::vector<Config::ServedZone> ClaimZones(const ServerBlock& block,
                                             std::vector<wire::Zone> zones) {
    std::vector<Config::ServedZone> mine;
    for (wire::Zone& zone : zones) {
      if (Lists(claimed_, zone)) {
        config_->notes_.push_back(
            fmt::format("{}: {} is served by an earlier server block, for all ports and views",
                        Place(block.keys.front()), zone.text));
        continue;
      }
      claimed_.push_back(zone);
      const std::string& server = server_of_[zone.text];
      mine.push_back({std::move(zone), server});
    }
    return mine;
  }

  absl::Status CheckDirectives(const ServerBlock& block) const {
    std::map<std::string_view, const Token*> seen;
    for (const Directive& directive : block.directives) {
      const Token& name = directive.name;
      const DirectiveInfo* info = FindDirective(name.text);
      if (info == nullptr) return name.Error(UnknownDirective(name.text));
      const auto [first, is_new] = seen.emplace(name.text, &name);
      if (!is_new && info->once) {
        return name.Error(fmt::format("{} may stand once in a server block; line {} has it",
                                      name.text, first->second->line));
      }
    }
    return absl::OkStatus();
  }

  absl::Status LoadDirective(const Directive& directive, const std::vector<wire::Zone>& zones) {
    const DirectiveInfo& info = *FindDirective(directive.name.text);
    switch (info.state) {
      case DirectiveState::kAccepted:
        config_->notes_.push_back(fmt::format("{}: accepted, not yet active: {}",
                                              Place(directive.name), info.consequence));
        return absl::OkStatus();
      case DirectiveState::kForwarded:
        return LoadForwarded(directive, info, zones);
      case DirectiveState::kActive:
        break;
    }
    if (info.name == "errors") return LoadErrors(directive);
    if (info.name == "hosts") return LoadHosts(directive, zones);
    if (info.name == "kubernetes") return LoadKubernetes(directive, zones);
    if (info.name == "loadbalance") return LoadLoadbalance(directive);
    if (info.name == "forward") return LoadForward(directive);
    return LoadHttpSetting(directive);
  }

  void AddLink(std::string_view directive, Config::MakeLink make) {
    links_.push_back({ChainPlace(directive), std::move(make)});
  }

  absl::Status LoadForwarded(const Directive& directive, const DirectiveInfo& info,
                             const std::vector<wire::Zone>& block_zones) {
    config_->notes_.push_back(Place(directive.name) +
                              ": not active: " + std::string(info.consequence));
    if (info.name == "view") {
      // In front of all that would answer.
      links_.push_back({0, MakeForward(ForwardConfig::ToPodResolvers(block_zones))});
      return absl::OkStatus();
    }
    auto zones = ZonesOfForwarded(directive, block_zones);
    if (!zones.ok()) return zones.status();
    AddLink(info.name, MakeForward(ForwardConfig::ToPodResolvers(*std::move(zones))));
    return absl::OkStatus();
  }

  absl::Status LoadErrors(const Directive& directive) {
    absl::Status status = ParseErrors(directive, &config_->notes_);
    AddLink("errors", [](const PluginContext&) { return std::make_unique<Errors>(); });
    return status;
  }

  absl::Status LoadHosts(const Directive& directive, const std::vector<wire::Zone>& zones) {
    auto hosts = ParseHosts(directive, zones, options_.hosts_file, &config_->notes_);
    if (!hosts.ok()) return hosts.status();
    AddLink("hosts", [hosts = *std::move(hosts)](const PluginContext&) {
      return std::make_unique<Hosts>(hosts);
    });
    return absl::OkStatus();
  }

  absl::Status LoadKubernetes(const Directive& directive, const std::vector<wire::Zone>& zones) {
    auto kubernetes = ParseKubernetes(directive, zones, &config_->notes_);
    if (!kubernetes.ok()) return kubernetes.status();
    cluster_dns_zones_ = ClusterDnsZones(*kubernetes);
    AddLink("kubernetes", [config = *std::move(kubernetes)](const PluginContext& context) {
      return std::make_unique<Kubernetes>(config, context.cluster);
    });
    return absl::OkStatus();
  }

  absl::Status LoadLoadbalance(const Directive& directive) {
    absl::Status status = ParseLoadbalance(directive, &config_->notes_);
    AddLink("loadbalance", [](const PluginContext&) {
      uint8_t seed[8];
      upstream::KernelRandom(seed);
      uint64_t number;
      std::copy(std::begin(seed), std::end(seed), reinterpret_cast<uint8_t*>(&number));
      return std::make_unique<Loadbalance>(number);
    });
    return status;
  }

  absl::Status LoadForward(const Directive& directive) {
    auto forward = ParseForward(directive, &config_->notes_);
    if (!forward.ok()) return forward.status();
    AddLink("forward", MakeForward(*std::move(forward)));
    return absl::OkStatus();
  }

  // `health`, `ready` and `prometheus`.
  absl::Status LoadHttpSetting(const Directive& directive) {
    const std::string& name = directive.name.text;
    if (name == "health") return Keep(directive, ParseHealth(directive), config_->health_);
    if (name == "ready") {
      return Keep(directive, ParseReady(directive, &config_->notes_), config_->ready_);
    }
    return Keep(directive, ParsePrometheus(directive), config_->prometheus_);
  }

  template <typename T>
  absl::Status Keep(const Directive& directive, absl::StatusOr<T> settings,
                    std::optional<T>& kept) {
    if (!settings.ok()) return settings.status();
    if (kept.has_value()) {
      config_->notes_.push_back(Place(directive.name) +
                                ": an earlier server block's settings hold for the sidecar");
    } else {
      kept = *std::move(settings);
    }
    return absl::OkStatus();
  }

  // What the chain's links leave over.
  void AddPodResolvers(const ServerBlock& block, const std::vector<wire::Zone>& zones) {
    const size_t place = ChainPlace("forward");
    if (!Has(block, "forward")) {
      links_.push_back({place, MakeForward(ForwardConfig::ToPodResolvers(zones))});
    } else if (!cluster_dns_zones_.empty()) {
      auto cluster_dns = MakeForward(ForwardConfig::ToPodResolvers(cluster_dns_zones_));
      links_.push_back({place - 1, std::move(cluster_dns)});
    }
  }

  // The sidecar stands in front of the cluster DNS: what no server block holds is not refused but
  // asked there.
  void AddRoot() {
    if (Lists(claimed_, Root())) return;
    Config::Block root;
    root.zones = {{Root(), "dns://:53"}};
    root.links = {MakeForward(ForwardConfig::ToPodResolvers({Root()}))};
    config_->blocks_.push_back(std::move(root));
  }

  const LoadOptions& options_;
  std::unique_ptr<Config> config_;
  std::map<std::string, Definition> defined_;  // by "dns://zone:port"
  std::vector<wire::Zone> claimed_;
  // Of the block that is being loaded.
  std::map<std::string, std::string> server_of_;  // metrics label, by zone
  std::vector<PlacedLink> links_;
  std::vector<wire::Zone> cluster_dns_zones_;
};

absl::StatusOr<std::shared_ptr<const Config>> LoadConfig(const corefile::Corefile& corefile,
                                                         const LoadOptions& options) {
  return ConfigLoader(options).Load(corefile);
}

std::unique_ptr<Chains> Config::Instantiate(const PluginContext& context) const {
  std::vector<ZoneChain> zones;
  for (const Block& block : blocks_) {
    std::vector<std::unique_ptr<Plugin>> links;
    for (const MakeLink& make : block.links) links.push_back(make(context));
    const auto chain = std::make_shared<const Chain>(std::move(links));
    for (const ServedZone& zone : block.zones) zones.push_back({zone.zone, chain, zone.server});
  }
  return std::make_unique<Chains>(std::move(zones));
}

}  // namespace portolan::dns
