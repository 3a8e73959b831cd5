// portolan-injector: the mutating webhook that puts sidecars into pods, with the certificates that
// the API server knows it by.
//
// One loop does everything: a review is CPU work alone, and what it needs of the cluster was read
// before. docs/injection.md, docs/certificates.md.
#include <signal.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/followed_file.h"
#include "common/http/server.h"
#include "common/kubernetes/make_api_client.h"
#include "common/listen_addresses.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/process_metrics.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "injector/certificates/authority.h"
#include "injector/certificates/keeper.h"
#include "injector/certificates/mounted_ca.h"
#include "injector/cluster/ca_config_maps.h"
#include "injector/cluster/followed_cluster.h"
#include "injector/reviews.h"
#include "injector/settings.h"

namespace portolan::injector {
namespace {

constexpr char kWebhookConfiguration[] = "portolan-injector";
// API servers open a connection for each review of a burst.
constexpr size_t kMaxConnections = 2048;
// An API server closes what was idle for 90 s; who closes first loses a review that is on its way.
constexpr absl::Duration kIdle = absl::Seconds(120);

ApiResource WebhookConfigurations() {
  return {.group = "admissionregistration.k8s.io",
          .version = "v1",
          .plural = "mutatingwebhookconfigurations",
          .kind = "MutatingWebhookConfiguration",
          .selector = std::string("fieldSelector=metadata.name=") + kWebhookConfiguration,
          .fields = {{"metadata", {{"name"}, {"resourceVersion"}, {"annotations"}}}}};
}

std::string VersionOf(const Field& object) {
  const Field metadata = object["metadata"];
  const Field version = metadata["resourceVersion"];
  return version.String();
}

// Shown until there is another: probes and an operator get an answer, an API server does not.
absl::StatusOr<TlsIdentity> ProvisionalIdentity(const std::string& name_space) {
  const absl::Time now = absl::Now();
  auto ca = MakeAuthority(absl::Hours(24), now);
  if (!ca.ok()) return ca.status();
  auto made =
      SignServer(*ca, NamesOfService("provisional", name_space, "invalid"), absl::Hours(24), now);
  if (!made.ok()) return made.status();
  return TlsIdentity{made->certificate, made->key, now + absl::Hours(24)};
}

template <typename Range>
std::string Listed(const Range& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item.ToString();
  return text.empty() ? "none" : text;
}

class Injector {
 public:
  explicit Injector(const Settings& settings)
      : settings_(settings), reviews_(settings.name_space, [this]() -> const ClusterFacts& {
          return cluster_ == nullptr ? no_facts_ : cluster_->facts();
        }) {}

  absl::Status Start() {
    if (absl::Status status = StartTemplate(); !status.ok()) return status;
    if (absl::Status status = StartClient(); !status.ok()) return status;
    if (absl::Status status = StartCertificates(); !status.ok()) return status;
    if (absl::Status status = StartServer(); !status.ok()) return status;
    if (client_ == nullptr) return absl::OkStatus();
    cluster_->Start();
    if (config_maps_ != nullptr) config_maps_->Start();
    if (keeper_ != nullptr) keeper_->Start();
    if (webhooks_ != nullptr) webhooks_->Start();
    return absl::OkStatus();
  }

  void Run() {
    const auto on_term = loop_.AddSignal(SIGTERM, [this] { End(); });
    const auto on_int = loop_.AddSignal(SIGINT, [this] { End(); });
    loop_.Run();
  }

 private:
  absl::Status StartTemplate() {
    template_ = std::make_unique<FollowedFile>(
        loop_, settings_.template_file, kMaxTemplateBytes, [this](const std::string& text) {
          template_status_ = reviews_.SetTemplate(text);
          if (template_status_.ok()) return TellOfCluster();
          log::error("{}:{}; the template before it stays in force", settings_.template_file,
                     Message(template_status_));
        });
    if (absl::Status status = template_->Start(); !status.ok()) return status;
    if (template_status_.ok()) return absl::OkStatus();
    return InvalidArgument("{}:{}", settings_.template_file, Message(template_status_));
  }

  // With mounted certificates it also runs beside no cluster, and knows then what the template
  // says.
  absl::Status StartClient() {
    auto client = MakeApiClient(loop_, settings_.kubeconfig, "portolan-injector/" PORTOLAN_VERSION);
    if (!client.ok()) {
      const bool needed =
          settings_.self_signed || !settings_.kubeconfig.empty() || !settings_.ca_file.empty();
      if (needed) return client.status();
      log::warn("{}; nothing is known of a cluster but what the template says",
                Message(client.status()));
      return absl::OkStatus();
    }
    client_ = *std::move(client);
    cluster_ = std::make_unique<FollowedCluster>(
        loop_, *client_,
        FollowedCluster::Options{.name_space = settings_.name_space,
                                 .pod = settings_.pod,
                                 .control_service = settings_.control_service},
        [this] { TellOfCluster(); });
    return absl::OkStatus();
  }

  absl::Status StartCertificates() {
    if (!settings_.self_signed) return StartMountedCertificates();
    config_maps_ = std::make_unique<CaConfigMaps>(loop_, *client_);
    keeper_ = std::make_unique<CertificateKeeper>(
        loop_, *client_,
        CertificateKeeper::Options{.name_space = settings_.name_space,
                                   .cluster_domain = settings_.cluster_domain,
                                   .ca_lifetime = settings_.ca_lifetime,
                                   .certificate_lifetime = settings_.certificate_lifetime,
                                   .webhook_configuration = kWebhookConfiguration},
        CertificateKeeper::Listener{
            [this](const TlsIdentity& identity) { Show(identity); },
            [this](const std::string& pem) { config_maps_->SetBundle(pem); }});
    FollowWebhooks([this] { keeper_->LookSoon(); });
    auto provisional = ProvisionalIdentity(settings_.name_space);
    if (!provisional.ok()) return provisional.status();
    first_identity_ = *std::move(provisional);
    return absl::OkStatus();
  }

  absl::Status StartMountedCertificates() {
    files_ = std::make_unique<FollowedTlsIdentity>(
        loop_, settings_.tls, [this](const TlsIdentity& identity) { Show(identity); });
    if (absl::Status status = files_->Start(); !status.ok()) return status;
    first_identity_ = files_->current();
    if (settings_.ca_file.empty()) return absl::OkStatus();
    config_maps_ = std::make_unique<CaConfigMaps>(loop_, *client_);
    mounted_ca_ = std::make_unique<MountedCa>(
        loop_, settings_.patch_webhook ? client_.get() : nullptr, kWebhookConfiguration,
        settings_.ca_file, [this](const std::string& pem) { config_maps_->SetBundle(pem); });
    if (settings_.patch_webhook) FollowWebhooks([this] { mounted_ca_->LookSoon(); });
    return mounted_ca_->Start();
  }

  // So that a configuration that somebody applies anew is put right at once.
  void FollowWebhooks(std::function<void()> on_change) {
    webhooks_ = std::make_unique<FollowedObjects<std::string>>(
        loop_, *client_, WebhookConfigurations(), VersionOf, std::move(on_change));
  }

  void Show(const TlsIdentity& identity) {
    const absl::Status status = server_->SetIdentity(identity);
    if (!status.ok()) log::error("the certificate before stays in force: {}", Message(status));
  }

  absl::Status StartServer() {
    http::Server::Options options;
    options.name = "webhook";
    options.listen = Usable(settings_.listen);
    options.tls = first_identity_;
    options.limits.body_bytes = kMaxReviewBytes;
    options.timeouts.idle = kIdle;
    options.max_connections = kMaxConnections;
    auto server = http::Server::Listen(loop_, std::move(options));
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    metrics_.AddSource([this](MetricFamilies& families) { AddMetrics(families); });
    server_->Post("/inject", [this](const http::Request& request, http::Responder responder) {
      responder.Send(reviews_.Answer(request));
    });
    server_->Get("/healthz", [](const http::Request&, http::Responder responder) {
      responder.Send(http::TextResponse(200, "ok"));
    });
    server_->Get("/ready", [this](const http::Request&, http::Responder responder) {
      responder.Send(Readiness());
    });
    server_->Get("/metrics", [this](const http::Request&, http::Responder responder) {
      responder.Send(http::TextResponse(200, metrics_.Render()));
    });
    for (const SocketAddress& address : server_->addresses()) {
      log::info("webhook on {}, over TLS", address.ToString());
    }
    return absl::OkStatus();
  }

  // What an injector that is not ready lacks would be lacking in every pod, or its reviews would
  // fail for its certificate.
  http::Response Readiness() const {
    if (ending_) return http::TextResponse(503, "ending");
    std::string text;
    if (cluster_ != nullptr) {
      for (const std::string& what : cluster_->missing()) text += what + "\n";
    }
    if (keeper_ != nullptr && !keeper_->trusted()) text += keeper_->state() + "\n";
    if (text.empty()) return http::TextResponse(200, "ok");
    return http::TextResponse(503, "not ready:\n" + text);
  }

  // Once, when all is known, and again with each template: what would be missing in pods.
  void TellOfCluster() {
    if (cluster_ == nullptr || !cluster_->missing().empty()) return;
    const ClusterFacts& facts = cluster_->facts();
    const Template& settings = reviews_.settings();
    const std::string text = fmt::format(
        "Service ranges: {}; pod ranges: {}; cluster DNS: {}; control plane: {}",
        Listed(settings.service_cidrs.empty() ? facts.service_cidrs : settings.service_cidrs),
        Listed(settings.pod_cidrs.empty() ? facts.pod_cidrs : settings.pod_cidrs),
        Listed(settings.cluster_dns.empty() ? facts.dns_endpoints : settings.cluster_dns),
        facts.control_pods.empty() ? "none ready" : "ready");
    if (text == told_) return;
    told_ = text;
    log::info("{}", text);
    if (settings.service_cidrs.empty() && facts.service_cidrs.empty()) {
      log::warn(
          "the API server has no ServiceCIDRs (it has since Kubernetes 1.33): connections to "
          "Services are not captured until service-cidrs in {} says their ranges",
          settings_.template_file);
    }
    if (settings.pod_cidrs.empty() && facts.pod_cidrs.empty()) {
      log::warn(
          "no Node has a podCIDR, since the CNI plugin keeps the ranges itself: connections to "
          "pods "
          "by their addresses are not captured until pod-cidrs in {} says their ranges",
          settings_.template_file);
    }
  }

  void AddMetrics(MetricFamilies& families) const {
    reviews_.AddMetrics(families);
    server_->AddMetrics(families);
    if (client_ != nullptr) client_->AddMetrics(families);
    if (cluster_ != nullptr) cluster_->AddMetrics(families);
    if (config_maps_ != nullptr) config_maps_->AddMetrics(families);
    if (keeper_ != nullptr) keeper_->AddMetrics(families);
    if (files_ != nullptr) files_->AddMetrics(families);
    if (mounted_ca_ != nullptr) mounted_ca_->AddMetrics(families);
    AddProcessMetrics(families);
  }

  // Asked a second time it ends as it stands.
  void End() {
    if (std::exchange(ending_, true)) return loop_.Stop();
    log::info("ending: serving for another {}", absl::FormatDuration(settings_.drain_time));
    server_->Drain(settings_.drain_time, [this] { loop_.Stop(); });
  }

  const Settings& settings_;
  EventLoop loop_;
  const ClusterFacts no_facts_;
  Reviews reviews_;
  absl::Status template_status_;
  std::unique_ptr<FollowedFile> template_;
  std::unique_ptr<CurlClient> client_;
  std::unique_ptr<FollowedCluster> cluster_;
  std::string told_;
  std::unique_ptr<CaConfigMaps> config_maps_;
  std::unique_ptr<FollowedObjects<std::string>> webhooks_;
  std::unique_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<FollowedTlsIdentity> files_;
  std::unique_ptr<MountedCa> mounted_ca_;
  TlsIdentity first_identity_;
  MetricsPage metrics_;
  bool ending_ = false;
  std::unique_ptr<http::Server> server_;
};

int Main(int argc, char** argv) {
  log::Start("portolan-injector", spdlog::level::info);
  Settings settings;
  if (const auto status = ParseSettings(argc, argv, settings)) return *status;
  signal(SIGPIPE, SIG_IGN);
  Injector injector(settings);
  if (const absl::Status status = injector.Start(); !status.ok()) {
    log::error("{}", Message(status));
    return kExitFailed;
  }
  injector.Run();
  return kExitOk;
}

}  // namespace
}  // namespace portolan::injector

int main(int argc, char** argv) { return portolan::injector::Main(argc, argv); }
