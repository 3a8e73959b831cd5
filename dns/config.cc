#include "dns/config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "dns/corefile/zones.h"
#include "dns/plugins/forward.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/registry.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::ServerBlock;
using corefile::Token;

std::string Place(const Token& token) {
  return fmt::format("{}:{}:{}: {}", *token.file, token.line, token.column, token.text);
}

wire::Zone Root() { return *wire::Zone::Parse("."); }

bool Lists(const std::vector<wire::Zone>& zones, const wire::Zone& zone) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const wire::Zone& listed) { return listed.wire == zone.wire; });
}

bool Has(const ServerBlock& block, std::string_view directive) {
  return std::any_of(block.directives.begin(), block.directives.end(),
                     [&](const Directive& d) { return d.name.text == directive; });
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

  absl::Status LoadBlock(const ServerBlock& block) {
    auto zones = LoadKeys(block);
    if (!zones.ok()) return zones.status();
    absl::Status status = CheckDirectives(block);
    if (!status.ok()) return status;
    LoadContext context(options_, *zones, config_->notes_, config_->http_, config_->followed_);
    if (!zones->empty()) context.set_server(server_of_[zones->front().text]);
    for (const Directive& directive : block.directives) {
      status = LoadDirective(directive, context);
      if (!status.ok()) return status;
    }
    if (const auto& kubernetes = *context.kubernetes(); kubernetes.has_value()) {
      AddClusterZones(kubernetes->zones);
    }
    const auto& upstreams = context.forwards().upstreams;
    config_->upstreams_.insert(config_->upstreams_.end(), upstreams.begin(), upstreams.end());
    AddPodResolvers(block, context);
    auto& links = context.links();
    std::stable_sort(links.begin(), links.end(),
                     [](const auto& a, const auto& b) { return a.place < b.place; });
    Config::Block out;
    out.zones = ClaimZones(block, *std::move(zones));
    for (auto& link : links) {
      out.links.push_back({std::move(link.make), std::move(link.written_at)});
    }
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

  absl::Status LoadDirective(const Directive& directive, LoadContext& context) {
    const DirectiveInfo& info = *FindDirective(directive.name.text);
    context.set_place(ChainPlace(info.name));
    context.set_written_at(fmt::format("{}:{}", *directive.name.file, directive.name.line));
    switch (info.state) {
      case DirectiveState::kAccepted:
        config_->notes_.push_back(fmt::format("{}: accepted, not yet active: {}",
                                              Place(directive.name), info.consequence));
        break;
      case DirectiveState::kForwarded:
        config_->notes_.push_back(
            fmt::format("{}: not active: {}", Place(directive.name), info.consequence));
        break;
      case DirectiveState::kActive:
        break;
    }
    return info.load == nullptr ? absl::OkStatus() : info.load(directive, context);
  }

  void AddClusterZones(const std::vector<wire::Zone>& zones) {
    for (const wire::Zone& zone : zones) {
      if (zone.labels == 0 || IsReverse(zone) || Lists(config_->cluster_zones_, zone)) continue;
      config_->cluster_zones_.push_back(zone);
    }
  }

  // What the chain's links leave over.
  void AddPodResolvers(const ServerBlock& block, LoadContext& context) {
    context.set_written_at({});
    // In front of `cache` (dns/plugins/cache.h): what the cluster DNS says of the cluster's names
    // is not stored, so that a change in the cluster is never late.
    const bool apart = Has(block, "forward") || Has(block, "cache");
    if (apart && !context.cluster_dns_zones().empty()) {
      context.set_place(ChainPlace("loop") - 1);
      context.AddLink(ForwardToPodResolvers(context.cluster_dns_zones(), context));
    }
    if (!Has(block, "forward")) {
      context.set_place(AllDirectives().size());
      context.AddLink(ForwardToPodResolvers(context.zones(), context));
    }
  }

  // The sidecar stands in front of the cluster DNS: what no server block holds is not refused but
  // asked there.
  void AddRoot() {
    if (Lists(claimed_, Root())) return;
    Config::Block root;
    root.zones = {{Root(), "dns://:53"}};
    root.links = {{ForwardToPodResolvers({Root()}), {}}};
    config_->blocks_.push_back(std::move(root));
  }

  const LoadOptions& options_;
  std::unique_ptr<Config> config_;
  std::map<std::string, Definition> defined_;  // by "dns://zone:port"
  std::vector<wire::Zone> claimed_;
  // Of the block that is being loaded.
  std::map<std::string, std::string> server_of_;  // metrics label, by zone
};

absl::StatusOr<std::shared_ptr<const Config>> LoadConfig(const corefile::Corefile& corefile,
                                                         const LoadOptions& options) {
  return ConfigLoader(options).Load(corefile);
}

std::unique_ptr<Chains> Config::Instantiate(const PluginContext& context) const {
  std::vector<ZoneChain> zones;
  for (const Block& block : blocks_) {
    std::vector<std::unique_ptr<Plugin>> links;
    std::vector<std::string> written_at;
    for (const Link& link : block.links) {
      links.push_back(link.make(context));
      written_at.push_back(link.written_at);
    }
    const auto chain = std::make_shared<const Chain>(std::move(links), std::move(written_at));
    for (const ServedZone& zone : block.zones) zones.push_back({zone.zone, chain, zone.server});
  }
  return std::make_unique<Chains>(std::move(zones));
}

}  // namespace portolan::dns
