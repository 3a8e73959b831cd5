// portolan-control: fills the directory from a source and serves it to sidecars over xDS.
//
// One loop owns the source, the Directory and the cache of resources; gRPC's own threads run the
// streams. The flags that others rely on are in the design's list of command lines.
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/http/server.h"
#include "common/ip.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/status.h"
#include "directory/directory.h"
#include "xds/dashboard/api.h"
#include "xds/serving/resource_cache.h"
#include "xds/serving/server.h"
#include "xds/sources/files/files_source.h"
#include "xds/sources/files/followed_file.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxCorefileBytes = 1u << 20;
constexpr std::string_view kFilesSource = "files:";

struct Settings {
  std::string source;
  std::vector<SocketAddress> xds_listen = {*SocketAddress::Parse("127.0.0.1:15010")};
  bool xds_insecure = false;
  SocketAddress http_listen = *SocketAddress::Parse("127.0.0.1:15080");
  SocketAddress status_listen = *SocketAddress::Parse("0.0.0.0:15014");
  std::string corefile;
  std::string log_level = "info";
};

// What is wrong with the settings as a whole; empty if nothing is.
std::string Complaint(const Settings& settings) {
  if (settings.source == "kubernetes" || settings.source.starts_with("kubernetes:")) {
    return "--source kubernetes: this version reads folders of manifests only (files:DIR)";
  }
  if (!settings.source.starts_with(kFilesSource) || settings.source.size() == kFilesSource.size()) {
    return fmt::format("--source: '{}' is not files:DIR", settings.source);
  }
  if (!settings.xds_insecure) {
    return "--xds-insecure is needed: this version serves xDS in plaintext only, not over TLS";
  }
  return {};
}

std::string Hostname() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

class ControlPlane {
 public:
  explicit ControlPlane(const Settings& settings) : settings_(settings) {}

  absl::Status Start() {
    // Everything is read before the first client is let in: a client takes what a control plane
    // does not have for what does not exist.
    if (absl::Status status = StartCorefile(); !status.ok()) return status;
    source_ = std::make_unique<FilesSource>(
        loop_, FilesSource::Options{.folder = settings_.source.substr(kFilesSource.size())},
        directory_, [this] { Publish(cache_.Update(directory_.Commit())); });
    if (absl::Status status = source_->Start(); !status.ok()) return status;
    log::info("{}: {} services in {} namespaces", settings_.source,
              cache_.current()->size(ResourceType::kService),
              cache_.current()->size(ResourceType::kNamespace));

    auto server =
        Server::Start({settings_.xds_listen, "portolan-control " + Hostname()}, cache_.current());
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    for (const SocketAddress& address : server_->listening()) {
      log::info("xDS on {}, plaintext", address.ToString());
    }
    if (absl::Status status = StartApi(); !status.ok()) return status;
    return StartStatusPages();
  }

  void Run() {
    const auto end = [this] {
      log::info("ending");
      loop_.Stop();
    };
    const auto on_term = loop_.AddSignal(SIGTERM, end);
    const auto on_int = loop_.AddSignal(SIGINT, end);
    loop_.Run();
  }

 private:
  absl::Status StartCorefile() {
    if (settings_.corefile.empty()) return absl::OkStatus();
    corefile_ = std::make_unique<FollowedFile>(
        loop_, settings_.corefile, kMaxCorefileBytes,
        [this](const std::string& text) { Publish(cache_.SetCorefile(text)); });
    return corefile_->Start();
  }

  absl::Status StartApi() {
    auto server = http::Server::Listen(loop_, {.name = "api",
                                               .listen = {settings_.http_listen},
                                               .audience = http::Audience::kThisMachine});
    if (!server.ok()) return server.status();
    api_server_ = *std::move(server);
    api_ = std::make_unique<Api>(
        *api_server_, [this] { return directory_.snapshot(); },
        [this] { return server_->Clients(); });
    log::info("API on {}", api_server_->addresses().front().ToString());
    return absl::OkStatus();
  }

  // For the kubelet's probes and for Prometheus. Everything was read before this listens, so
  // whoever gets an answer gets a yes.
  absl::Status StartStatusPages() {
    auto server =
        http::Server::Listen(loop_, {.name = "status", .listen = {settings_.status_listen}});
    if (!server.ok()) return server.status();
    status_server_ = *std::move(server);
    metrics_.AddSource([this](MetricFamilies& families) {
      server_->AddMetrics(families);
      api_server_->AddMetrics(families);
      status_server_->AddMetrics(families);
    });
    for (const char* path : {"/healthz", "/ready"}) {
      status_server_->Get(path, [](const http::Request&, http::Responder responder) {
        responder.Send(http::TextResponse(200, "ok"));
      });
    }
    status_server_->Get("/metrics", [this](const http::Request&, http::Responder responder) {
      responder.Send(http::TextResponse(200, metrics_.Render()));
    });
    return absl::OkStatus();
  }

  void Publish(const ResourceCache::Published& published) {
    if (server_ != nullptr) server_->Publish(published);
  }

  const Settings& settings_;
  EventLoop loop_;
  Directory directory_;
  ResourceCache cache_;
  std::unique_ptr<FollowedFile> corefile_;
  std::unique_ptr<FilesSource> source_;
  std::unique_ptr<Server> server_;
  MetricsPage metrics_;
  std::unique_ptr<http::Server> api_server_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> status_server_;
};

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Portolan's control plane: serves the directory of a cluster to its sidecars",
               "portolan-control");
  AddCommonFlags(app, PORTOLAN_VERSION);
  app.add_option("--source", settings.source,
                 "Where the cluster is read from: files:DIR, a folder of Kubernetes manifests")
      ->required();
  AddFlag(app, "--xds-listen", settings.xds_listen,
          "ADDR:PORT for xDS, may be given more than once; default 127.0.0.1:15010");
  app.add_flag("--xds-insecure", settings.xds_insecure, "Serve xDS in plaintext");
  AddFlag(app, "--http-listen", settings.http_listen,
          "ADDR:PORT for the API; default 127.0.0.1:15080");
  AddFlag(app, "--status-listen", settings.status_listen,
          "ADDR:PORT for /healthz, /ready and /metrics; default 0.0.0.0:15014");
  app.add_option("--corefile", settings.corefile,
                 "Corefile for the sidecars; followed when it changes");
  app.add_option("--log-level", settings.log_level, "debug, info, warn or error");
  if (const auto status = ParseFlags(app, argc, argv)) return *status;

  log::Start("portolan-control", spdlog::level::info);
  std::string complaint = Complaint(settings);
  if (const absl::Status level = log::SetLevel(settings.log_level); !level.ok()) {
    complaint = Message(level);
  }
  if (!complaint.empty()) {
    log::error("{}", complaint);
    return kExitUsage;
  }
  signal(SIGPIPE, SIG_IGN);
  ControlPlane control(settings);
  if (const absl::Status status = control.Start(); !status.ok()) {
    log::error("{}", Message(status));
    return kExitFailed;
  }
  control.Run();
  return kExitOk;
}

}  // namespace
}  // namespace portolan::xds

int main(int argc, char** argv) { return portolan::xds::Main(argc, argv); }
