#include "proxy/sidecar.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "common/listen_addresses.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/process_metrics.h"
#include "common/status.h"
#include "proxy/ask_workers.h"
#include "proxy/connection_json.h"
#include "proxy/forwarder/descriptors.h"
#include "proxy/pod_sockets.h"
#include "proxy/privileged_sockets.h"

namespace portolan::proxy {
namespace {

constexpr char kClusterDomain[] = "cluster.local";
constexpr char kConntrackFolder[] = "/proc/sys/net/netfilter";
constexpr absl::Duration kDrainCheckEvery = absl::Milliseconds(100);
constexpr char kSocketTables[] = "/proc/net";
constexpr auto kSocketsSeenEvery = std::chrono::milliseconds(500);
// What changes leave behind in the allocator goes back to the system when they are in force and
// saved: several megabytes after the first full set.
constexpr size_t kTrimAfterChanges = 500;  // of Services and sets of endpoints
constexpr absl::Duration kTrimAfter = absl::Seconds(2);

// malloc_trim leaves all that is free unsorted for the next who asks for memory: 3 ms of the first
// change after a large set. An allocation sorts up to 10,000 pieces.
void Trim() {
  malloc_trim(0);
  constexpr int kSorts = 10;
  constexpr size_t kLarge = 16 << 10;
  for (int i = 0; i < kSorts; ++i) {
    void* volatile piece = std::malloc(kLarge);  // volatile: or the compiler leaves it out
    std::free(piece);
  }
}

// What dashboards and alerts for CoreDNS ask of the process.
void AddCoreDnsMetrics(MetricFamilies& families) {
  AddGaugeSample(families, "coredns_build_info", "The program; its version is not CoreDNS's.",
                 {{"goversion", ""}, {"revision", ""}, {"version", "portolan-" PORTOLAN_VERSION}},
                 1);
  AddCounterSample(families, "coredns_panics_total",
                   "Always 0: a fault ends the process, and Kubernetes counts its restarts.", {},
                   0);
}

AskedNames::Names NamesIn(const Settings& settings) {
  return settings.report_names ? AskedNames::Names::kCounted : AskedNames::Names::kLeftOut;
}

}  // namespace

Sidecar::Sidecar(EventLoop& loop, Settings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      dns_config_(loop, settings_.corefile, [this] { OnDnsConfig(); }),
      pod_resolvers_(loop, settings_.resolv_conf, [this] { ConfigureDns(); }),
      corefile_pages_(loop, settings_.app_ports),
      conntrack_(loop, kConntrackFolder),
      place_(settings_.node, settings_.pod_ips,
             {.node = settings_.node_name, .zone = settings_.zone}),
      dialling_({.cluster_dns = settings_.cluster_dns,
                 .control_planes = settings_.control,
                 .cluster_domain = kClusterDomain,
                 .seed = settings_.node}),
      routes_(place_.current()),
      worker_reports_(NamesIn(settings_)),
      policy_({.loop = loop_,
               .settings = settings_,
               .dns_config = dns_config_,
               .pod_resolvers = pod_resolvers_,
               .dialling = dialling_,
               .routes = routes_,
               .workers = workers_}),
      explained_({.loop = loop_,
                  .settings = settings_,
                  .admin = *this,
                  .pod_resolvers = pod_resolvers_,
                  .dialling = dialling_,
                  .routes = routes_,
                  .place = place_,
                  .workers = workers_,
                  .feed_status = [this] { return feed_->status(); },
                  .policy = [this] { return policy_.Explained(); },
                  .want_endpoints =
                      [this](const std::string& service) { feed_->WantEndpoints(service); }}),
      trim_(loop.AddTimer([this] {
        changes_since_trim_ = 0;
        Trim();
      })) {
  metrics_.AddSource([this](MetricFamilies& families) {
    dns_config_.CollectMetrics(families);
    corefile_pages_.CollectMetrics(families);
    dialling_.CollectMetrics(families);
    conntrack_.CollectMetrics(families);
    policy_.CollectMetrics(families);
    AddProcessMetrics(families);
    AddCoreDnsMetrics(families);
  });
}

Sidecar::~Sidecar() {
  policy_.Stop();
  if (feed_ != nullptr) feed_->Stop();
}

absl::StatusOr<std::unique_ptr<Sidecar>> Sidecar::Start(EventLoop& loop, Settings settings) {
  auto udp = OpenPrivileged(settings);
  if (!udp.ok()) return udp.status();
  std::unique_ptr<Sidecar> sidecar(new Sidecar(loop, std::move(settings)));
  if (auto status = sidecar->OpenAccessLog(); !status.ok()) return status;
  if (auto status = sidecar->OpenWorkers(*std::move(udp)); !status.ok()) return status;
  if (auto status = sidecar->dns_config_.UseOwn(); !status.ok()) return status;
  if (auto status = sidecar->OpenPages(); !status.ok()) return status;
  sidecar->StartReporter();
  if (auto status = sidecar->StartFeed(); !status.ok()) return status;
  for (const auto& worker : sidecar->workers_) worker->Run();
  return sidecar;
}

absl::Status Sidecar::OpenAccessLog() {
  if (settings_.access_log.empty() || settings_.access_log == "-") return absl::OkStatus();
  constexpr mode_t kOthersMayRead = 0644;
  access_log_file_ = Fd(open(settings_.access_log.c_str(),
                             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kOthersMayRead));
  if (!access_log_file_.valid()) {
    return ErrnoError(errno, "--access-log " + settings_.access_log);
  }
  access_log_ = std::make_unique<LineOutput>(access_log_file_.get());
  return absl::OkStatus();
}

absl::Status Sidecar::OpenWorkers(std::vector<UdpSockets> udp) {
  const auto descriptors = RaiseDescriptorLimit();
  if (!descriptors.ok()) return descriptors.status();
  const auto workers = static_cast<size_t>(settings_.concurrency);
  const std::string shortage = DescriptorShortage(*descriptors, workers);
  if (!shortage.empty()) log::warn("{}", shortage);
  WorkerOptions options;
  options.dns_listen = Usable(settings_.dns_listen);
  options.dns_connections =
      DnsConnectionsPerListener(*descriptors, options.dns_listen.size() * workers);
  options.pod_resolvers = pod_resolvers_.current();
  options.pod_namespace = settings_.node.substr(0, settings_.node.find('/'));
  options.workers = workers;
  if (settings_.reports) options.search_walks = &search_walks_;
  options.names = NamesIn(settings_);
  options.forwarder.listen = Usable(settings_.forward_listen);
  options.forwarder.connect_timeout = settings_.connect_timeout;
  options.forwarder.idle_timeout = settings_.idle_timeout;
  options.forwarder.balancer.eject_after = settings_.eject_after;
  options.forwarder.balancer.eject_for = settings_.eject_for;
  options.forwarder.max_connections = ConnectionsPerWorker(*descriptors, workers);
  service_metrics_ = std::make_shared<ServiceMetrics>(ServiceMetricsLimits{
      .services = settings_.metric_services, .endpoints = settings_.metric_endpoints});
  options.forwarder.balancer.metrics = service_metrics_;
  options.forwarder.access_log =
      settings_.access_log == "-" ? &LineOutput::Standard() : access_log_.get();
  AddInbound(options, *descriptors);
  policy_.AddTo(options);
  options.udp = {.max_flows = UdpFlowsPerWorker(*descriptors, workers, settings_.udp_flows),
                 .timeout = settings_.udp_timeout,
                 .stream_timeout = settings_.udp_stream_timeout};
  options.want_address = [this](const IpAddress& ip) {
    loop_.Post([this, ip] { feed_->WantAddress(ip); });
  };
  options.forwarder.want_address = options.want_address;
  if (!settings_.eager_endpoints()) {
    options.want_endpoints = [this](const ServiceKey& service) {
      loop_.Post([this, service] { feed_->WantEndpoints(std::string(service.view())); });
    };
    options.prefetch_endpoints = [this](const ServiceKey& service) {
      loop_.Post([this, service] { feed_->PrefetchEndpoints(std::string(service.view())); });
    };
    options.forwarder.want_endpoints = options.want_endpoints;
    options.udp.want_endpoints = options.want_endpoints;
    options.used_services = &used_services_;
  }
  std::vector<std::shared_ptr<const ForwarderCounters>> forwarders;
  std::vector<std::shared_ptr<const ForwarderCounters>> inbound;
  std::vector<std::shared_ptr<const UdpCounters>> udp_forwarders;
  std::vector<SocketAddress> udp_listen;
  for (const auto& listener : udp.front().listeners) udp_listen.push_back(listener.address);
  for (size_t i = 0; i < workers; ++i) {
    options.worker = i;
    auto worker = Worker::Open(options, std::move(udp[i]));
    if (!worker.ok()) return worker.status();
    // Where port 0 was asked for, the others share what the first was given.
    options.dns_listen = (*worker)->dns_addresses();
    options.forwarder.listen = (*worker)->forward_addresses();
    forwarders.push_back((*worker)->forwarder_counters());
    options.inbound.listen = (*worker)->inbound_addresses();
    if (auto counters = (*worker)->inbound_counters()) inbound.push_back(std::move(counters));
    if (auto counters = (*worker)->udp_counters()) udp_forwarders.push_back(std::move(counters));
    AddReported([w = worker->get()](auto& families) { w->CollectMetrics(families); });
    workers_.push_back(*std::move(worker));
  }
  AddReported(ForwarderMetrics(std::move(forwarders)));
  metrics_.AddSource([this](MetricFamilies& families) {
    service_metrics_->Collect(families, Monotonic());
    if (access_log_ == nullptr) return;
    AddCounterSample(families, "portolan_forwarder_access_log_lost_bytes_total",
                     "Of the access log, what could not be written to its file.", {},
                     static_cast<double>(access_log_->lost_bytes()));
  });
  AddReported(InboundMetrics(std::move(inbound)));
  AddReported(UdpMetrics(std::move(udp_forwarders)));
  explainer_ = std::make_unique<Explainer>(loop_, explained_, kClusterDomain);
  policy_tester_ = std::make_unique<PolicyTester>(loop_, explained_);
  for (const auto& address : options.dns_listen) log::info("DNS on {}", address.ToString());
  for (const auto& address : options.forwarder.listen) {
    log::info("forwarder on {}", address.ToString());
  }
  for (const auto& address : options.inbound.listen) {
    log::info("inbound connections on {}", address.ToString());
  }
  for (const auto& address : udp_listen) log::info("forwarder on UDP {}", address.ToString());
  return absl::OkStatus();
}

// They share what descriptors there are with those that the pod makes.
void Sidecar::AddInbound(WorkerOptions& options, uint64_t descriptors) const {
  if (!settings_.carries_inbound()) return;
  options.inbound.listen = Usable(settings_.inbound_listen);
  options.inbound.connect_timeout = settings_.connect_timeout;
  options.inbound.idle_timeout = settings_.idle_timeout;
  options.inbound.access_log = options.forwarder.access_log;
  options.forwarder.max_connections = options.inbound.max_connections =
      ConnectionsPerWorker(descriptors, options.workers * 2);
}

void Sidecar::AddReported(const MetricsPage::Source& source) {
  for (MetricsPage* page : {&metrics_, &reported_}) page->AddSource(source);
}

void Sidecar::ConfigureDns() {
  const auto& config = dns_config_.config();
  dialling_.SetUpstreams(pod_resolvers_.current().nameservers, config->upstreams());
  for (const auto& worker : workers_) {
    worker->SetPodResolvers(pod_resolvers_.current());
    worker->SetDialledInstead(dialling_.upstreams());
    worker->SetConfig(config);
  }
  policy_.Follow();
  KeepDialled();
}

// Chains are made anew where the upstreams' endpoints are others now; what is cached stays.
void Sidecar::FollowDialling() {
  const dns::DialledInstead before = dialling_.upstreams();
  dialling_.SetRoutes(routes_.table());
  if (dialling_.upstreams() != before) ConfigureDns();
  policy_.Follow();
  KeepDialled();
}

void Sidecar::KeepDialled() {
  std::vector<std::string> services = dialling_.Services();
  if (feed_ == nullptr || services == kept_services_) return;
  kept_services_ = std::move(services);
  feed_->Keep({.addresses = place_.Wanted(), .services = kept_services_});
}

void Sidecar::OnDnsConfig() {
  ConfigureDns();
  const auto& config = dns_config_.config();
  const auto& health = config->health();
  const auto& ready = config->ready();
  const auto& prometheus = config->prometheus();
  using Address = std::optional<dns::HttpAddress>;
  corefile_pages_.Serve(
      {"health", "/health", [this](const auto&, http::Responder r) { r.Send(HealthPage(*this)); }},
      health.has_value() ? health->address : Address());
  corefile_pages_.Serve(
      {"ready", "/ready", [this](const auto&, http::Responder r) { r.Send(ReadyPage(*this)); }},
      ready.has_value() ? ready->address : Address());
  corefile_pages_.Serve(
      {"prometheus", "/metrics",
       [this](const auto&, http::Responder r) { r.Send(MetricsResponse(metrics_)); }},
      prometheus.has_value() ? prometheus->address : Address());
}

absl::Status Sidecar::OpenPages() {
  auto admin = Admin::Listen(
      loop_,
      {.admin_listen = {settings_.admin_listen}, .pod_listen = Usable(settings_.status_listen)},
      *this, metrics_);
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  metrics_.AddSource([this](MetricFamilies& families) { admin_->AddMetrics(families); });
  auto quit = [this] {
    if (drain_until_.has_value()) {
      loop_.Stop();
    } else {
      BeginDrain();
    }
  };
  on_sigterm_ = loop_.AddSignal(SIGTERM, quit);
  on_sigint_ = loop_.AddSignal(SIGINT, quit);
  drain_check_ = loop_.AddTimer([this] { CheckDrained(); });
  return absl::OkStatus();
}

void Sidecar::StartReporter() {
  AdminSource& admin = *this;
  reporter_ = std::make_unique<Reporter>(
      loop_, Reporter::Options{settings_.node, PORTOLAN_VERSION, absl::Now()}, admin,
      [this](auto done) { GatherReport(std::move(done)); });
  metrics_.AddSource([this](MetricFamilies& families) { reporter_->AddMetrics(families); });
}

void Sidecar::GatherReport(std::function<void(v1::SidecarReport)> done) {
  AskWorkers<WorkerReport>(
      loop_, workers_, [](Worker& worker, auto take) { worker.Report(std::move(take)); },
      [this, done = std::move(done)](const std::vector<WorkerReport>& workers) {
        v1::SidecarReport report = MakeReport(feed_->status(), reported_.Collect());
        worker_reports_.AddTo(report, workers, service_metrics_->flows(), *snapshot_,
                              admin_->cluster_domain());
        std::vector<Worker::LatestDenials> denied;
        denied.reserve(workers.size());
        for (const WorkerReport& worker : workers) denied.push_back(worker.denials);
        *report.mutable_policy() = policy_.Report(denied);
        done(std::move(report));
      });
}

void Sidecar::OnConnection(const ControlConnection& connection) {
  if (settings_.reports) reporter_->Connect(connection);
}

void Sidecar::OnConnectionGone() { reporter_->Disconnect(); }

absl::Status Sidecar::StartFeed() {
  FeedOptions options;
  if (!settings_.control_ca.empty()) {
    auto trust = ControlTrust::Load(settings_.control_ca);
    if (!trust.ok()) return trust.status();
    options.trust = *std::move(trust);
  }
  options.token_file = settings_.control_token;
  options.server_name = settings_.control_server_name;
  options.control_planes = settings_.control;
  options.node_id = settings_.node;
  options.always_allowed = settings_.always_allowed();
  options.enforce_ingress = settings_.carries_inbound();
  options.version = PORTOLAN_VERSION;
  options.proxy_config = settings_.proxy_config;
  options.state_dir = settings_.state_dir;
  options.stale_after = settings_.stale_after;
  if (!settings_.eager_endpoints()) options.endpoints = Directory::Slices::kOfThoseAskedFor;
  options.endpoints_idle = settings_.endpoints_idle;
  FeedDelegate& delegate = *this;
  feed_ = std::make_unique<Feed>(loop_, std::move(options), delegate);
  for (MetricsPage* page : {&metrics_, &reported_}) feed_->AddMetrics(*page);
  feed_->Start();
  feed_->Keep({.addresses = place_.Wanted(), .services = kept_services_});
  return absl::OkStatus();
}

void Sidecar::OnDirectory(const Directory::Committed& committed) {
  snapshot_ = committed.snapshot;
  records_.Apply(committed, absl::Now());
  if (place_.Follow(*snapshot_)) {
    log::info("this pod runs on node '{}' in zone '{}'", place_.current().node,
              place_.current().zone);
    routes_.MoveTo(place_.current());
  }
  const auto routes = routes_.Apply(committed, endpoints_held());
  for (const auto& worker : workers_) worker->SetRoutes(routes);
  FollowDialling();
  PublishClusterData();
  const DirectoryChanges& changes = committed.changes;
  const size_t before = changes_since_trim_;
  changes_since_trim_ += changes.services.size() + changes.endpoints.size();
  if (before < kTrimAfterChanges && changes_since_trim_ >= kTrimAfterChanges) {
    trim_.Start(kTrimAfter);
  }
}

void Sidecar::OnFeedStatus(const FeedStatus& status) {
  feed_status_ = status;
  for (const auto& worker : workers_) {
    worker->SetFeedAnswering(status.answering);
    worker->SetPrefetching(!status.endpoints_full);
  }
  if (status.in_sync && !ever_in_sync_) {
    ever_in_sync_ = true;
    // From now on a Service without slices has no endpoints, rather than unknown ones.
    const auto routes = routes_.Apply({snapshot_, {}}, endpoints_held());
    for (const auto& worker : workers_) worker->SetRoutes(routes);
  }
  PublishClusterData();
}

EndpointsHeld Sidecar::endpoints_held() const {
  return settings_.eager_endpoints() && ever_in_sync_ ? EndpointsHeld::kAll : EndpointsHeld::kSome;
}

std::vector<std::string> Sidecar::TakeUsed(const std::vector<std::string>& services) {
  const UseFilter::Marked asked = used_services_.Take();
  const absl::Duration now = Monotonic();
  std::vector<std::string> used;
  for (const std::string& key : services) {
    const Service* service = snapshot_->FindService(key);
    if (service == nullptr) continue;
    // Both, since each begins anew.
    const bool dialled = routes_.table()->TakeUse(*service, now);
    const auto hash = dns::ServiceTable::HashOf(service->name.ns, service->name.name);
    if (dialled || asked.Holds(hash)) used.push_back(key);
  }
  return used;
}

void Sidecar::PublishClusterData() {
  auto data = std::make_shared<dns::ClusterData>();
  data->snapshot = snapshot_;
  data->records = records_.current();
  if (feed_status_.source != FeedStatus::Source::kNone) {
    data->trust = feed_status_.in_sync ? dns::FeedTrust::kInSync : dns::FeedTrust::kStale;
  }
  for (const auto& worker : workers_) worker->SetClusterData(data);
}

absl::Status Sidecar::OnProxyConfig(const v1::ProxyConfig& config) {
  // All of it or nothing.
  const auto level_before = spdlog::get_level();
  const std::string& level = config.log_level();
  absl::Status status = log::SetLevel(level.empty() ? settings_.log_level : level);
  if (!status.ok()) return status;
  status = config.corefile().empty() ? dns_config_.UseOwn()
                                     : dns_config_.UseControlPlanes(config.corefile());
  if (!status.ok()) spdlog::set_level(level_before);
  return status;
}

void Sidecar::OnProxyConfigWithdrawn() {
  if (absl::Status status = dns_config_.UseOwn(); !status.ok()) {
    log::warn("the control plane withdrew its configuration, which stays in force: {}",
              Message(status));
    return;
  }
  log::info("the control plane withdrew its configuration; back to the {} one",
            dns_config_.source());
  // Checked when the settings were read.
  log::SetLevel(settings_.log_level).IgnoreError();
}

Readiness Sidecar::Ready() {
  const bool waited = std::chrono::steady_clock::now() - started_ >=
                      absl::ToChronoNanoseconds(settings_.ready_wait);
  const bool known = feed_status_.source != FeedStatus::Source::kNone;
  Readiness readiness;
  readiness.ready = !drain_until_.has_value() && ((ever_in_sync_ && policy_.is_known()) || waited);
  readiness.body = fmt::format(
      "{}\nfeed: {}\nage: {}\n", readiness.ready ? "ready" : "not ready",
      feed_status_.in_sync ? "in sync"
                           : (known ? fmt::format("stale, from {}", SourceName(feed_status_.source))
                                    : "nothing yet: passing on to the pod's resolvers"),
      DescribeAge(feed_status_));
  if (!policy_.is_known()) {
    readiness.body += fmt::format("policy: none is known yet: {}\n", settings_.on_no_policy);
  }
  if (feed_status_.proxy_config_missing && settings_.proxy_config != kDefaultProxyConfig) {
    readiness.body += fmt::format("configuration: the control plane has no '{}'; in force: {}\n",
                                  settings_.proxy_config, dns_config_.source());
  }
  const std::string fault = feed_->status().state_fault;
  if (!fault.empty()) readiness.body += fmt::format("state on disk: {}\n", fault);
  return readiness;
}

std::shared_ptr<const Snapshot> Sidecar::snapshot() { return snapshot_; }

bool Sidecar::WantsEndpoints(const std::string& service_key) {
  return feed_->is_wanted(service_key);
}

nlohmann::json Sidecar::ConfigDump() {
  const FeedStatus status = feed_->status();
  nlohmann::json types = nlohmann::json::array();
  for (const FeedStatus::Type& type : status.types) {
    types.push_back({{"typeUrl", type.type_url},
                     {"synced", type.synced},
                     {"held", type.held},
                     {"nacks", type.nacks},
                     {"lastNack", type.last_nack}});
  }
  nlohmann::json dump = dns_config_.Dump();
  dump["version"] = PORTOLAN_VERSION;
  dump["node"] = settings_.node;
  dump["place"] = place_.Dump();
  dump["upstreamServices"] = dialling_.Dump();
  dump["policy"] = policy_.Dump();
  dump["feed"] = {{"source", SourceName(status.source)},
                  {"controlPlane", status.control_plane},
                  {"connected", status.connected},
                  {"lastFailure", status.last_failure},
                  {"inSync", status.in_sync},
                  {"age", DescribeAge(status)},
                  {"proxyConfig", settings_.proxy_config},
                  {"proxyConfigMissing", status.proxy_config_missing},
                  {"policyKnown", status.policy_known},
                  {"stateFault", status.state_fault},
                  {"types", types}};
  dump["directory"] = {{"generation", snapshot_->generation()},
                       {"services", snapshot_->service_count()},
                       {"endpoints", settings_.endpoints},
                       {"servicesWithEndpointsHeld", snapshot_->slice_set_count()}};
  return dump;
}

absl::StatusOr<nlohmann::json> Sidecar::HeldResources(const std::string& type,
                                                      const std::string& after) {
  api::ResourcePage page(after);
  if (auto status = feed_->ListHeld(type, page); !status.ok()) return status;
  return page.ToJson();
}

void Sidecar::Connections(std::function<void(nlohmann::json)> done) {
  using Listed = std::vector<ConnectionInfo>;
  AskWorkers<Listed>(
      loop_, workers_,
      [](Worker& worker, auto take) {
        constexpr size_t kMaxPerWorker = 1000;
        worker.ListConnections(kMaxPerWorker, std::move(take));
      },
      [done = std::move(done)](const std::vector<Listed>& workers) {
        nlohmann::json connections = nlohmann::json::array();
        for (const Listed& some : workers) {
          for (const ConnectionInfo& info : some) connections.push_back(ToJson(info));
        }
        done(std::move(connections));
      });
}

absl::Status Sidecar::SetLogLevel(std::string level) { return log::SetLevel(level); }

void Sidecar::Drain() { BeginDrain(); }
void Sidecar::Quit() { loop_.Stop(); }

// Connections and queries are taken on as long as the application is there, which may dial while it
// shuts down, and until the last of them ends.
void Sidecar::BeginDrain() {
  if (drain_until_.has_value()) return;
  const auto& health = dns_config_.config()->health();
  const absl::Duration lameduck = health.has_value() ? health->lameduck : absl::ZeroDuration();
  const auto now = std::chrono::steady_clock::now();
  lameduck_until_ = now + absl::ToChronoNanoseconds(lameduck);
  drain_until_ = now + absl::ToChronoNanoseconds(std::max(lameduck, settings_.drain_time));
  log::info("stopping within {}, not before {}: {} connections are open",
            absl::FormatDuration(std::max(lameduck, settings_.drain_time)),
            absl::FormatDuration(lameduck), active());
  CheckDrained();
}

void Sidecar::CheckDrained() {
  const auto now = std::chrono::steady_clock::now();
  if (now >= *drain_until_) return loop_.Stop();
  if (now < lameduck_until_ || active() > 0 || OthersMayDial()) {
    return drain_check_.Start(kDrainCheckEvery);
  }
  // Questions under way are the workers' to count.
  AskWorkers<size_t>(
      loop_, workers_, [](Worker& worker, auto take) { worker.CountWaiting(std::move(take)); },
      [this](const std::vector<size_t>& waiting) {
        const bool none =
            std::all_of(waiting.begin(), waiting.end(), [](size_t count) { return count == 0; });
        if (none) return loop_.Stop();
        drain_check_.Start(kDrainCheckEvery);
      });
}

// As of a moment ago: with many sockets a look takes its time.
bool Sidecar::OthersMayDial() {
  const auto now = std::chrono::steady_clock::now();
  if (now - sockets_seen_ >= kSocketsSeenEvery) {
    sockets_seen_ = now;
    others_seen_ = PodHasSocketsOfOthers(kSocketTables, geteuid());
  }
  return others_seen_;
}

size_t Sidecar::active() const {
  size_t total = 0;
  for (const auto& worker : workers_) total += worker->active();
  return total;
}

}  // namespace portolan::proxy
