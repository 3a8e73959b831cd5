#include "xds/control_plane.h"

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/http/json.h"
#include "common/kubernetes/make_api_client.h"
#include "common/listen_addresses.h"
#include "common/log.h"
#include "common/process_metrics.h"
#include "common/status.h"
#include "xds/authentication/issuer_keys.h"
#include "xds/authentication/token_reviewer.h"
#include "xds/dashboard/assets.h"
#include "xds/dashboard/policies_page.h"
#include "xds/dashboard/resource_pages.h"
#include "xds/policy_status/enforcement.h"
#include "xds/sources/files/files_source.h"
#include "xds/sources/kubernetes/kubernetes_source.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxCorefileBytes = 1u << 20;
// The one of sidecars that ask for none by name.
constexpr char kDefaultCorefile[] = "default";
// 200 clients a second: what another replica brings up to date in passing (docs/scale.md). More
// where there are so many that 20 s would not do: a pod is given 30 to end.
constexpr size_t kFewestHandedOver = 10;
constexpr absl::Duration kHandOverEvery = absl::Milliseconds(50);
constexpr size_t kMostHandOvers = 400;
// How long it stays unnoticed that one who listens to events may no more.
constexpr absl::Duration kLongestListener = absl::Minutes(10);

std::string Hostname() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// What each answer of the API tells browsers, beside what a page says of itself: it is data, of
// now, for pages of this server alone.
std::vector<http::Header> ApiFields() {
  return {{"Cache-Control", "no-store"},
          {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Referrer-Policy", "no-referrer"}};
}

void SetIdentity(http::Server& server, const TlsIdentity& identity) {
  const absl::Status status = server.SetIdentity(identity);
  if (!status.ok()) log::error("the new certificate is not shown: {}", Message(status));
}

}  // namespace

ControlPlane::ControlPlane(const Settings& settings)
    : settings_(settings),
      cache_(settings.cluster_domain),
      handed_over_at_once_(kFewestHandedOver) {}

absl::Status ControlPlane::Start() {
  if (absl::Status status = StartIdentity(); !status.ok()) return status;
  if (absl::Status status = MakeSource(); !status.ok()) return status;
  if (absl::Status status = MakeGate(); !status.ok()) return status;
  if (absl::Status status = StartHistory(); !status.ok()) return status;
  if (absl::Status status = StartStatusPages(); !status.ok()) return status;
  FindReplicas();
  if (absl::Status status = StartApi(); !status.ok()) return status;
  if (absl::Status status = StartPeerApi(); !status.ok()) return status;
  if (absl::Status status = StartCorefile(); !status.ok()) return status;
  if (absl::Status status = StartCorefiles(); !status.ok()) return status;
  if (absl::Status status = source_->Start(); !status.ok()) return status;
  started_ = true;
  return source_->missing().empty() ? StartServer() : absl::OkStatus();
}

void ControlPlane::Run() {
  drain_timer_ = loop_.AddTimer([this] { HandOver(); });
  const auto on_term = loop_.AddSignal(SIGTERM, [this] { End(); });
  const auto on_int = loop_.AddSignal(SIGINT, [this] { End(); });
  loop_.Run();
}

absl::Status ControlPlane::MakeSource() {
  const auto on_change = [this](absl::Time since) { OnChange(since); };
  if (!settings_.from_kubernetes()) {
    source_ = std::make_unique<FilesSource>(
        loop_, FilesSource::Options{.folder = settings_.source_path()}, directory_, on_change);
    return absl::OkStatus();
  }
  auto client = MakeApiClient(loop_, settings_.source_path(), "portolan-control/" PORTOLAN_VERSION);
  if (!client.ok()) return client.status();
  api_client_ = *std::move(client);
  policy_statuses_ = std::make_unique<PolicyStatusWriter>(
      loop_, *api_client_, PolicyStatusWriter::Options{},
      [this](const PolicyStatusWriter::Counted& done) { CountEnforcement(done); });
  source_ = std::make_unique<KubernetesSource>(
      loop_, *api_client_, KubernetesSource::Options{.dns_egress_policies = policy_statuses_.get()},
      directory_, on_change);
  return absl::OkStatus();
}

EnforcementByPolicy ControlPlane::EnforcementOfOurs() const {
  return EnforcementHere(*directory_.snapshot(), cache_.current()->policies(), sidecars_.All());
}

// Before everything was read no sidecar is let in, and it is not known who is selected.
void ControlPlane::CountEnforcement(const PolicyStatusWriter::Counted& done) const {
  if (server_ == nullptr || ending_) return done(std::nullopt);
  CountWithOthers(EnforcementOfOurs(), *replicas_, done);
}

absl::Status ControlPlane::MakeGate() {
  if (settings_.xds_insecure) return absl::OkStatus();
  if (settings_.xds_auth == "none") {
    log::warn("--xds-auth none: whoever connects can read the directory");
    return absl::OkStatus();
  }
  std::unique_ptr<TokenVerifier> verifier;
  if (settings_.issuer_keys().empty()) {
    verifier = std::make_unique<TokenReviewer>(*api_client_);
  } else {
    auto keys = IssuerKeys::Load(settings_.issuer_keys());
    if (!keys.ok()) return keys.status();
    verifier = *std::move(keys);
  }
  gate_ = std::make_unique<TokenGate>(loop_, std::move(verifier));
  return absl::OkStatus();
}

void ControlPlane::OnChange(absl::Time since) {
  const Directory::Committed committed = directory_.Commit();
  events_->OnChanges(committed.snapshot->generation(), committed.changes);
  Publish(cache_.Update(committed, since));
  history_->Record(committed, since);
  api_->OnCommit(committed, cache_.current()->addresses());
  // Within Start the source is not asked yet.
  if (server_ != nullptr || !started_ || !source_->missing().empty()) return;
  fault_ = StartServer();
  if (!fault_.ok()) loop_.Stop();
}

absl::Status ControlPlane::StartIdentity() {
  if (settings_.xds_insecure) return absl::OkStatus();
  identity_ =
      std::make_unique<FollowedTlsIdentity>(loop_, settings_.tls, [this](const TlsIdentity& now) {
        if (server_ != nullptr) server_->SetIdentity(now);
        if (!settings_.http_listen.ip.is_loopback()) SetIdentity(*api_server_, now);
        if (peer_server_ != nullptr) SetIdentity(*peer_server_, now);
      });
  return identity_->Start();
}

absl::Status ControlPlane::StartCorefile() {
  if (settings_.corefile.empty()) return absl::OkStatus();
  corefile_ = std::make_unique<FollowedFile>(loop_, settings_.corefile, kMaxCorefileBytes,
                                             [this](const std::string& text) {
                                               Publish(cache_.SetCorefile(kDefaultCorefile, text));
                                               api_->SetCorefile(text);
                                             });
  return corefile_->Start();
}

absl::Status ControlPlane::StartCorefiles() {
  if (settings_.corefiles.empty()) return absl::OkStatus();
  corefiles_ = std::make_unique<FollowedFolder>(
      loop_, settings_.corefiles, kMaxCorefileBytes,
      [this](const std::string& name, const std::optional<std::string>& text) {
        OnCorefile(name, text);
      });
  return corefiles_->Start();
}

void ControlPlane::OnCorefile(const std::string& name, const std::optional<std::string>& text) {
  // Settings saw to it that there was none at the start.
  if (name == kDefaultCorefile && !settings_.corefile.empty()) {
    return log::error("{}/{}: not served, --corefile {} is the default one", settings_.corefiles,
                      name, settings_.corefile);
  }
  Publish(text.has_value() ? cache_.SetCorefile(name, *text) : cache_.RemoveCorefile(name));
  if (name == kDefaultCorefile) api_->SetCorefile(text);
}

// Clients are handed to the other replicas a few at a time, so that those are not asked for
// everything by all at once; asked a second time it ends as it stands.
void ControlPlane::End() {
  if (std::exchange(ending_, true) || server_ == nullptr) return loop_.Stop();
  const size_t clients = server_->client_count();
  log::info("ending: handing over {} clients", clients);
  handed_over_at_once_ = std::max(kFewestHandedOver, clients / kMostHandOvers);
  HandOver();
}

void ControlPlane::HandOver() {
  if (server_->EndStreams(handed_over_at_once_) == 0) return loop_.Stop();
  drain_timer_.Start(kHandOverEvery);
}

// Once everything was read, and not before the first client is let in: a client takes what a
// control plane does not have for what does not exist.
absl::Status ControlPlane::StartServer() {
  malloc_trim(0);  // what reading the lists took beyond what was kept
  log::info("{}: {} services in {} namespaces", settings_.source,
            cache_.current()->size(ResourceType::kService),
            cache_.current()->size(ResourceType::kNamespace));
  Server::Options options{.listen = settings_.xds_listen,
                          .identifier = "portolan-control " + Hostname(),
                          .gate = gate_.get(),
                          .sockets = settings_.xds_sockets,
                          .sidecars = &sidecars_};
  if (identity_ != nullptr) options.identity = identity_->current();
  auto server = Server::Start(options, cache_.current());
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  for (const SocketAddress& address : server_->listening()) {
    log::info("xDS on {}, {}", address.ToString(),
              settings_.xds_insecure ? "plaintext" : "over TLS");
  }
  for (const std::string& path : settings_.xds_sockets) {
    log::info("xDS on unix:{}, plaintext", path);
  }
  return absl::OkStatus();
}

void ControlPlane::FindReplicas() {
  if (settings_.http_peers.host.empty()) {
    replicas_ = std::make_unique<NoReplicas>(Hostname());
    return;
  }
  const PeerTls tls{settings_.peer_ca, settings_.peer_server_name, settings_.peer_token};
  auto peers = std::make_unique<Peers>(
      loop_, Peers::Options{.self = Hostname(),
                            .where = settings_.http_peers,
                            .look_up = portolan::LookUp,
                            .connect = [this, tls](const SocketAddress& address) {
                              return ConnectToPeer(loop_, tls, address);
                            }});
  peers_ = peers.get();
  replicas_ = std::move(peers);
}

absl::Status ControlPlane::StartHistory() {
  auto history = History::Open(loop_, {.file = settings_.history_db,
                                       .max_age = settings_.history_age,
                                       .max_bytes = static_cast<int64_t>(settings_.history_size)});
  if (!history.ok()) return history.status();
  history_ = *std::move(history);
  return absl::OkStatus();
}

absl::Status ControlPlane::StartApi() {
  http::Server::Options options{.name = "api", .listen = {settings_.http_listen}};
  options.fields = ApiFields();
  if (settings_.http_listen.ip.is_loopback()) {
    options.audience = http::Audience::kThisMachine;
  } else {
    options.tls = identity_->current();
  }
  if (settings_.http_auth != "none") {
    reader_access_ = std::make_unique<ReaderAccess>(*api_client_);
    options.admit = [this](const http::Request& request, http::Admitted done) {
      reader_access_->Admit(request, std::move(done));
    };
  }
  auto server = http::Server::Listen(loop_, std::move(options));
  if (!server.ok()) return server.status();
  api_server_ = *std::move(server);
  const auto clients = [this](size_t most_names) {
    return server_ == nullptr ? std::vector<ClientStatus>() : server_->Clients(most_names);
  };
  Api::Options pages{
      .cluster_domain = settings_.cluster_domain,
      .version = PORTOLAN_VERSION,
      .replica = Hostname(),
      .source = settings_.source,
      .ready = [this] { return server_ != nullptr; },
      .clients = clients,
      .client_count = [this] { return server_ == nullptr ? 0 : server_->client_count(); },
      .sidecars = &sidecars_,
      .resources = [this] { return cache_.current(); },
      .replicas = replicas_.get(),
      .at = [this](const ObjectName& name, absl::Time time,
                   auto done) { history_pages_->At(name, time, std::move(done)); },
      .history_since = [this] { return history_->since(); }};
  api_ = std::make_unique<Api>(loop_, *api_server_, std::move(pages));
  history_pages_ = std::make_unique<HistoryPages>(*api_server_, *history_, api_->replicas(),
                                                  settings_.cluster_domain);
  AddPoliciesPage(
      *api_server_, [this] { return EnforcementOfOurs(); }, api_->replicas());
  AddAssets(*api_server_);
  AddResourcePages(*api_server_, [this] { return cache_.current(); });
  api_server_->Get("/debug/sources", [this](const http::Request&, http::Responder responder) {
    responder.Send(http::JsonResponse(200, source_->Describe()));
  });
  events_ = std::make_unique<Events>(
      loop_, *api_server_,
      Events::Options{
          .version = PORTOLAN_VERSION,
          .longest = reader_access_ == nullptr ? absl::InfiniteDuration() : kLongestListener});
  sidecars_.SetOnReport([this](std::string_view node_id) { events_->OnReport(node_id); });
  log::info("API on {}", api_server_->addresses().front().ToString());
  return absl::OkStatus();
}

absl::Status ControlPlane::StartPeerApi() {
  if (settings_.peer_listen.empty()) return absl::OkStatus();
  peer_access_ = std::make_unique<PeerAccess>(*api_client_, settings_.peer_token);
  http::Server::Options options{.name = "peers", .listen = Usable(settings_.peer_listen)};
  options.tls = identity_->current();
  options.fields = ApiFields();
  options.admit = [this](const http::Request& request, http::Admitted done) {
    peer_access_->Admit(request, std::move(done));
  };
  auto server = http::Server::Listen(loop_, std::move(options));
  if (!server.ok()) return server.status();
  peer_server_ = *std::move(server);
  peer_server_->RouteAs(*api_server_);
  for (const SocketAddress& address : peer_server_->addresses()) {
    log::info("API for the other replicas on {}", address.ToString());
  }
  return absl::OkStatus();
}

// For the kubelet's probes and for Prometheus.
absl::Status ControlPlane::StartStatusPages() {
  auto server =
      http::Server::Listen(loop_, {.name = "status", .listen = Usable(settings_.status_listen)});
  if (!server.ok()) return server.status();
  status_server_ = *std::move(server);
  metrics_.AddSource([this](MetricFamilies& families) {
    source_->AddMetrics(families);
    if (api_client_ != nullptr) api_client_->AddMetrics(families);
    if (policy_statuses_ != nullptr) policy_statuses_->AddMetrics(families);
    if (server_ != nullptr) server_->AddMetrics(families);
    sidecars_.AddMetrics(families);
    cache_.AddMetrics(families);
    history_->AddMetrics(families);
    if (identity_ != nullptr) identity_->AddMetrics(families);
    if (gate_ != nullptr) gate_->AddMetrics(families);
    api_server_->AddMetrics(families);
    if (peer_server_ != nullptr) peer_server_->AddMetrics(families);
    if (reader_access_ != nullptr) reader_access_->AddMetrics(families);
    if (peer_access_ != nullptr) peer_access_->AddMetrics(families);
    if (peers_ != nullptr) peers_->AddMetrics(families);
    events_->AddMetrics(families);
    status_server_->AddMetrics(families);
    AddProcessMetrics(families);
  });
  status_server_->Get("/healthz", [](const http::Request&, http::Responder responder) {
    responder.Send(http::TextResponse(200, "ok"));
  });
  status_server_->Get("/ready", [this](const http::Request&, http::Responder responder) {
    responder.Send(Readiness());
  });
  status_server_->Get("/metrics", [this](const http::Request&, http::Responder responder) {
    responder.Send(http::TextResponse(200, metrics_.Render()));
  });
  return absl::OkStatus();
}

// Ready once, ready until it ends: a control plane whose API server is away serves what it knows.
http::Response ControlPlane::Readiness() const {
  if (ending_) return http::TextResponse(503, "ending");
  if (server_ != nullptr) return http::TextResponse(200, "ok");
  std::string text = "not read yet:\n";
  for (const std::string& what : source_->missing()) text += what + "\n";
  return http::TextResponse(503, text);
}

void ControlPlane::Publish(const ResourceCache::Published& published) {
  if (server_ != nullptr) server_->Publish(published);
}

}  // namespace portolan::xds
