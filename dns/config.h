// A Corefile with its meaning: validated once, immutable, from which each worker makes its chains.
//
//   auto corefile = corefile::ParseCorefile(text, "Corefile", options);
//   auto config = LoadConfig(*corefile, {});          // on the main thread: reads files
//   for (const std::string& note : (*config)->notes()) log::warn("{}", note);
//   auto chains = (*config)->Instantiate(context);    // on each worker
//   server.SetChains(chains->zones());
//
// A load error leaves no Config: whoever holds an older one goes on with it. Nothing that the file
// says is silently ignored: what is not active, or meant otherwise here than in CoreDNS, is in
// notes(), each "file:line:column: what: consequence".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/chains.h"
#include "dns/corefile/ast.h"
#include "dns/plugin_context.h"
#include "dns/plugins/http_settings.h"
#include "dns/plugins/load_context.h"
#include "dns/wire/name.h"

namespace portolan::dns {

// What serves a pod whose operator gave no Corefile.
inline constexpr std::string_view kDefaultCorefile = R"(.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    loadbalance
}
)";

class Config {
 public:
  struct ServedZone {
    wire::Zone zone;
    std::string server;  // CoreDNS's label of its metrics: "dns://:53"
  };
  struct Link {
    MakeLink make;
    std::string written_at;  // "Corefile:12"; empty: nowhere
  };
  struct Block {
    std::vector<ServedZone> zones;
    std::vector<Link> links;
  };

  std::unique_ptr<Chains> Instantiate(const PluginContext& context) const;

  const std::vector<std::string>& notes() const { return notes_; }

  // Where a directive stands in several blocks the first counts, and a note names the others.
  const std::optional<HealthSettings>& health() const { return http_.health; }
  const std::optional<ReadySettings>& ready() const { return http_.ready; }
  const std::optional<PrometheusSettings>& prometheus() const { return http_.prometheus; }

  const FollowedFiles& followed() const { return followed_; }

  // The zones of all `kubernetes`: not those of reverse lookups, and not the root.
  const std::vector<wire::Zone>& cluster_zones() const { return cluster_zones_; }

  // The servers of `forward` that PluginContext::dialled_instead may name; the pod's resolvers are
  // not among them.
  const std::vector<UpstreamAddress>& upstreams() const { return upstreams_; }

 private:
  friend class ConfigLoader;
  Config() = default;

  std::vector<Block> blocks_;
  std::vector<std::string> notes_;
  HttpSettings http_;
  FollowedFiles followed_;
  std::vector<wire::Zone> cluster_zones_;
  std::vector<UpstreamAddress> upstreams_;
};

// Errors begin with "file:line:column: ".
absl::StatusOr<std::shared_ptr<const Config>> LoadConfig(const corefile::Corefile& corefile,
                                                         const LoadOptions& options);

}  // namespace portolan::dns
