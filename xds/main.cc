// portolan-control: fills the directory from a source and serves it to sidecars over xDS.
//
// One loop owns the source, the Directory and the cache of resources; gRPC's own threads run the
// streams. The flags that others rely on are in the design's list of command lines.
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/http/server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "directory/directory.h"
#include "xds/api/grpc_process.h"
#include "xds/dashboard/api.h"
#include "xds/serving/resource_cache.h"
#include "xds/serving/server.h"
#include "xds/settings.h"
#include "xds/sources/files/files_source.h"
#include "xds/sources/files/followed_file.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxCorefileBytes = 1u << 20;

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
        loop_, FilesSource::Options{.folder = settings_.folder()}, directory_,
        [this] { Publish(cache_.Update(directory_.Commit())); });
    if (absl::Status status = source_->Start(); !status.ok()) return status;
    log::info("{}: {} services in {} namespaces", settings_.source,
              cache_.current()->size(ResourceType::kService),
              cache_.current()->size(ResourceType::kNamespace));

    if (absl::Status status = StartServer(); !status.ok()) return status;
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

  absl::Status StartServer() {
    Server::Options options{.listen = settings_.xds_listen,
                            .identifier = "portolan-control " + Hostname()};
    if (!settings_.xds_insecure) {
      identity_ = std::make_unique<FollowedTlsIdentity>(
          loop_, settings_.tls, [this](const TlsIdentity& now) { server_->SetIdentity(now); });
      if (absl::Status status = identity_->Start(); !status.ok()) return status;
      options.identity = identity_->current();
    }
    auto server = Server::Start(options, cache_.current());
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    for (const SocketAddress& address : server_->listening()) {
      log::info("xDS on {}, {}", address.ToString(),
                settings_.xds_insecure ? "plaintext" : "over TLS");
    }
    return absl::OkStatus();
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
      if (identity_ != nullptr) identity_->AddMetrics(families);
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
  std::unique_ptr<FollowedTlsIdentity> identity_;
  MetricsPage metrics_;
  std::unique_ptr<http::Server> api_server_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> status_server_;
};

int Main(int argc, char** argv) {
  log::Start("portolan-control", spdlog::level::info);
  Settings settings;
  if (const auto status = ParseSettings(argc, argv, settings)) return *status;
  signal(SIGPIPE, SIG_IGN);
  api::PrepareGrpc();
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
