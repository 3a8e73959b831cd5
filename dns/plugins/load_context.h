// What the loader of a directive is given and what it makes: the server block that is being read.
//
// Every directive has one loader (registry.cc): a function that validates the directive's words and
// adds what comes of them to the context. Loaders run on the main thread and may read files; what
// they add runs on workers.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/folder_watch.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugin_context.h"
#include "dns/plugins/http_settings.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/reload.h"
#include "dns/wire/name.h"

namespace portolan::dns {

struct RewriteRule;

struct LoadOptions {
  // What `hosts` reads where it names no file.
  std::string hosts_file = "/etc/hosts";
};

struct ForwardGroup;  // dns/plugins/forward.h
struct AclRules;
struct LogRules;

// Makes one link, on the worker's thread.
using MakeLink = std::function<std::unique_ptr<Plugin>(const PluginContext&)>;

// What the program's HTTP server is asked for; nothing where the directive does not stand.
struct HttpSettings {
  std::optional<HealthSettings> health;
  std::optional<ReadySettings> ready;
  std::optional<PrometheusSettings> prometheus;
};

// Files that the program looks at while the configuration is in force.
struct FollowedFiles {
  struct File {
    std::string path;
    absl::Duration interval;
    std::optional<FileStamp> stamp;  // from before it was read
  };

  std::optional<ReloadSettings> reload;  // of the Corefile itself
  std::vector<File> files;               // a change of one needs the configuration loaded anew

  // Below 100 ms is 100 ms; zero: not followed.
  void Follow(std::string path, absl::Duration interval, std::optional<FileStamp> stamp);

  // REQUIRES: there is a file.
  absl::Duration ShortestInterval() const {
    const auto shorter = [](const File& a, const File& b) { return a.interval < b.interval; };
    return std::min_element(files.begin(), files.end(), shorter)->interval;
  }
};

class LoadContext {
 public:
  // A link with its place in CoreDNS's order, and its place in the file.
  struct PlacedLink {
    size_t place;
    MakeLink make;
    std::string written_at;
  };

  LoadContext(const LoadOptions& options, std::vector<wire::Zone> zones,
              std::vector<std::string>& notes, HttpSettings& http, FollowedFiles& followed);

  const LoadOptions& options() const { return options_; }
  // Those of the block's keys.
  const std::vector<wire::Zone>& zones() const { return zones_; }
  // What the user must know, each "file:line:column: what: consequence".
  std::vector<std::string>* notes() { return &notes_; }
  // Of the whole file: the first block that says something counts.
  HttpSettings& http() { return http_; }
  FollowedFiles& followed() { return followed_; }

  // CoreDNS's label of the block's metrics, after its first key: "dns://:53".
  const std::string& server() const { return server_; }
  void set_server(std::string server) { server_ = std::move(server); }

  // Where links go that are added from now on.
  void set_place(size_t place) { place_ = place; }
  // The directive that is loaded, "Corefile:12"; empty: what follows from none.
  void set_written_at(std::string place) { written_at_ = std::move(place); }
  const std::string& written_at() const { return written_at_; }
  // Links of one directive keep the file's order.
  void AddLink(MakeLink make) { links_.push_back({place_, std::move(make), written_at_}); }
  std::vector<PlacedLink>& links() { return links_; }

  // What the block's `forward`s and its `loop` share; theirs to fill.
  ForwardGroup& forwards() { return *forwards_; }
  std::shared_ptr<const ForwardGroup> shared_forwards() const { return forwards_; }

  // Zones of which `kubernetes` passes on what it cannot answer: a `forward` to a public resolver
  // would deny it, the cluster DNS knows.
  std::vector<wire::Zone>& cluster_dns_zones() { return cluster_dns_zones_; }

  // What the block's `kubernetes` says, for links of other directives: there once the block is
  // read.
  const std::shared_ptr<std::optional<KubernetesConfig>>& kubernetes() { return kubernetes_; }
  // All `acl`, or `log`, of the block are one link: null before the first.
  std::shared_ptr<AclRules>& acl_rules() { return acl_rules_; }
  std::shared_ptr<LogRules>& log_rules() { return log_rules_; }

  // FROM and `except` of the block's `forward`s: zones whose questions go to other servers than
  // those above them. Complete when links are made.
  const std::shared_ptr<std::vector<wire::Zone>>& borders() { return borders_; }

  // Of all `rewrite` lines of the block, which are one link; null before the first.
  std::shared_ptr<std::vector<RewriteRule>>& rewrite_rules() { return rewrite_rules_; }

 private:
  const LoadOptions& options_;
  const std::vector<wire::Zone> zones_;
  std::vector<std::string>& notes_;
  HttpSettings& http_;
  FollowedFiles& followed_;
  std::string server_ = "dns://:53";
  size_t place_ = 0;
  std::string written_at_;
  std::vector<PlacedLink> links_;
  std::shared_ptr<ForwardGroup> forwards_;
  std::vector<wire::Zone> cluster_dns_zones_;
  std::shared_ptr<std::optional<KubernetesConfig>> kubernetes_ =
      std::make_shared<std::optional<KubernetesConfig>>();
  std::shared_ptr<AclRules> acl_rules_;
  std::shared_ptr<LogRules> log_rules_;
  const std::shared_ptr<std::vector<wire::Zone>> borders_ =
      std::make_shared<std::vector<wire::Zone>>();
  std::shared_ptr<std::vector<RewriteRule>> rewrite_rules_;
};

// Errors are Token::Error.
using Loader = absl::Status (*)(const corefile::Directive&, LoadContext&);

}  // namespace portolan::dns
