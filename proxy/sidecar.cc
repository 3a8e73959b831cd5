#include "proxy/sidecar.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <utility>

#include "common/fd.h"
#include "common/files.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/resolv_conf.h"
#include "common/status.h"
#include "dns/corefile/parser.h"
#include "proxy/forwarder/descriptors.h"

namespace portolan::proxy {
namespace {

constexpr size_t kMaxCorefileBytes = 1 << 20;
constexpr std::string_view kFromControlPlane = "control plane";
constexpr absl::Duration kDrainCheckEvery = absl::Milliseconds(100);

// False where the kernel or the pod has no such family, or not this address: a pod without IPv6.
bool CanListen(const SocketAddress& address) {
  Fd fd(socket(address.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return false;
  sockaddr_storage raw;
  const socklen_t length = SocketAddress{address.ip, 0}.ToSockaddr(&raw);
  return bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0;
}

// Those of an IPv6 family that the pod lacks are left out. IPv4 addresses stay, so that a mistake
// in them is an error.
std::vector<SocketAddress> Usable(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> usable;
  for (const SocketAddress& address : addresses) {
    if (address.ip.is_v4() || CanListen(address)) {
      usable.push_back(address);
    } else {
      log::info("no IPv6 here: not listening on {}", address.ToString());
    }
  }
  return usable;
}

std::string_view SourceName(FeedStatus::Source source) {
  switch (source) {
    case FeedStatus::Source::kDisk:
      return "disk";
    case FeedStatus::Source::kControlPlane:
      return "control plane";
    case FeedStatus::Source::kNone:
      break;
  }
  return "none";
}

std::string DescribeAge(const FeedStatus& status) {
  const absl::Duration age = status.Age(Monotonic());
  return age == absl::InfiniteDuration() ? "never in sync"
                                         : absl::FormatDuration(absl::Trunc(age, absl::Seconds(1)));
}

nlohmann::json ToJson(const ConnectionInfo& info) {
  return {{"state", info.state == ConnectionInfo::State::kJoined ? "joined" : "connecting"},
          {"client", info.client.ToString()},
          {"dialled", info.dialled.ToString()},
          {"endpoint", info.endpoint.ToString()},
          {"service", info.service},
          {"pod", info.pod},
          {"bytesUp", info.bytes_up},
          {"bytesDown", info.bytes_down},
          {"ageMs", absl::ToInt64Milliseconds(info.age)}};
}

}  // namespace

Sidecar::Sidecar(EventLoop& loop, Settings settings)
    : loop_(loop), settings_(std::move(settings)) {}

Sidecar::~Sidecar() {
  if (feed_ != nullptr) feed_->Stop();
}

absl::StatusOr<std::unique_ptr<Sidecar>> Sidecar::Start(EventLoop& loop, Settings settings) {
  std::unique_ptr<Sidecar> sidecar(new Sidecar(loop, std::move(settings)));
  if (auto status = sidecar->OpenWorkers(); !status.ok()) return status;
  if (auto status = sidecar->UseOwnCorefile(); !status.ok()) return status;
  if (auto status = sidecar->OpenPages(); !status.ok()) return status;
  sidecar->StartFeed();
  for (const auto& worker : sidecar->workers_) worker->Run();
  return sidecar;
}

absl::Status Sidecar::OpenWorkers() {
  auto resolv = ReadResolvConf(settings_.resolv_conf);
  if (!resolv.ok()) return resolv.status();
  for (const std::string& skipped : resolv->skipped) log::warn("{}", skipped);
  if (resolv->nameservers.empty()) {
    log::warn("{} names no nameserver: only cluster names will be answered", settings_.resolv_conf);
  }

  const auto descriptors = RaiseDescriptorLimit();
  if (!descriptors.ok()) return descriptors.status();
  const auto workers = static_cast<size_t>(settings_.concurrency);
  WorkerOptions options;
  options.dns_listen = Usable(settings_.dns_listen);
  options.pod_resolvers = resolv->nameservers;
  options.search = resolv->search;
  options.pod_namespace = settings_.node.substr(0, settings_.node.find('/'));
  options.forwarder.listen = Usable(settings_.forward_listen);
  options.forwarder.connect_timeout = settings_.connect_timeout;
  options.forwarder.max_connections = ConnectionsPerWorker(*descriptors, workers);
  options.want_address = [this](const IpAddress& ip) {
    loop_.Post([this, ip] { feed_->WantAddress(ip); });
  };
  std::vector<std::shared_ptr<const ForwarderCounters>> forwarders;
  for (size_t i = 0; i < workers; ++i) {
    auto worker = Worker::Open(options);
    if (!worker.ok()) return worker.status();
    // Where port 0 was asked for, the others share what the first was given.
    options.dns_listen = (*worker)->dns_addresses();
    options.forwarder.listen = (*worker)->forward_addresses();
    forwarders.push_back((*worker)->forwarder_counters());
    metrics_.AddSource([w = worker->get()](auto& families) { w->CollectMetrics(families); });
    workers_.push_back(*std::move(worker));
  }
  metrics_.AddSource(ForwarderMetrics(std::move(forwarders)));
  for (const auto& address : options.dns_listen) log::info("DNS on {}", address.ToString());
  for (const auto& address : options.forwarder.listen) {
    log::info("forwarder on {}", address.ToString());
  }
  return absl::OkStatus();
}

absl::Status Sidecar::UseOwnCorefile() {
  if (settings_.corefile.empty()) {
    return UseCorefile(std::string(dns::kDefaultCorefile), "built-in");
  }
  auto text = ReadFile(settings_.corefile, kMaxCorefileBytes);
  if (!text.ok()) return text.status();
  return UseCorefile(*text, settings_.corefile);
}

absl::Status Sidecar::UseCorefile(const std::string& text, const std::string& name) {
  // The same text means something else where the environment and imports are to be had.
  if (config_ != nullptr && text == corefile_ && name == corefile_source_) return absl::OkStatus();
  // What came over the network sees neither the pod's environment nor its files.
  const dns::corefile::FolderImports imports(std::filesystem::absolute(name).parent_path());
  dns::corefile::ParseOptions options;
  if (name != kFromControlPlane) {
    options.environment = dns::corefile::ProcessEnvironment;
    options.imports = &imports;
  }
  auto parsed = dns::corefile::ParseCorefile(text, name, options);
  if (!parsed.ok()) return parsed.status();
  auto config = dns::LoadConfig(*parsed, {});
  if (!config.ok()) return config.status();
  config_ = *std::move(config);
  corefile_ = text;
  corefile_source_ = name;
  for (const std::string& note : config_->notes()) log::warn("{}", note);
  for (const auto& worker : workers_) worker->SetConfig(config_);
  OpenCorefilePages();
  return absl::OkStatus();
}

void Sidecar::OpenCorefilePages() {
  corefile_pages_.clear();
  if (const auto& health = config_->health()) {
    OpenCorefilePage("health", health->address, "/health",
                     [this](const auto&, http::Responder r) { r.Send(HealthPage(*this)); });
  }
  if (const auto& ready = config_->ready()) {
    OpenCorefilePage("ready", ready->address, "/ready",
                     [this](const auto&, http::Responder r) { r.Send(ReadyPage(*this)); });
  }
  if (const auto& prometheus = config_->prometheus()) {
    OpenCorefilePage("prometheus", prometheus->address, "/metrics",
                     [this](const auto&, http::Responder r) { r.Send(MetricsResponse(metrics_)); });
  }
}

// The application's ports win: an address that is taken is left to it, and the page is on the
// status port alone.
void Sidecar::OpenCorefilePage(const std::string& directive,
                               const std::optional<dns::HttpAddress>& wanted,
                               const std::string& path, http::Handler handler) {
  if (!wanted.has_value()) return;
  std::vector<SocketAddress> addresses;
  if (wanted->ip.has_value()) {
    addresses.push_back({*wanted->ip, wanted->port});
  } else {
    addresses = Usable({{IpAddress(), wanted->port}, {*IpAddress::Parse("::"), wanted->port}});
  }
  auto server = http::Server::Listen(loop_, {.name = directive, .listen = std::move(addresses)});
  if (!server.ok()) {
    log::warn("{}: {}; the page is on the status port alone", directive, Message(server.status()));
    return;
  }
  (*server)->Get(path, std::move(handler));
  corefile_pages_.push_back(*std::move(server));
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

void Sidecar::StartFeed() {
  FeedOptions options;
  options.control_planes = settings_.control;
  options.node_id = settings_.node;
  options.version = PORTOLAN_VERSION;
  options.state_dir = settings_.state_dir;
  options.stale_after = settings_.stale_after;
  FeedDelegate& delegate = *this;
  feed_ = std::make_unique<Feed>(loop_, std::move(options), delegate);
  feed_->AddMetrics(metrics_);
  feed_->Start();
}

void Sidecar::OnDirectory(const Directory::Committed& committed) {
  snapshot_ = committed.snapshot;
  records_.Apply(committed, absl::Now());
  const auto held = ever_in_sync_ ? EndpointsHeld::kAll : EndpointsHeld::kSome;
  const auto routes = routes_.Apply(committed, held);
  for (const auto& worker : workers_) worker->SetRoutes(routes);
  PublishClusterData();
}

void Sidecar::OnFeedStatus(const FeedStatus& status) {
  feed_status_ = status;
  for (const auto& worker : workers_) worker->SetFeedConnected(status.connected);
  if (status.in_sync && !ever_in_sync_) {
    ever_in_sync_ = true;
    // From now on a Service without slices has no endpoints, rather than unknown ones.
    const auto routes = routes_.Apply({snapshot_, {}}, EndpointsHeld::kAll);
    for (const auto& worker : workers_) worker->SetRoutes(routes);
  }
  PublishClusterData();
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
  status = config.corefile().empty()
               ? UseOwnCorefile()
               : UseCorefile(config.corefile(), std::string(kFromControlPlane));
  if (!status.ok()) spdlog::set_level(level_before);
  return status;
}

void Sidecar::OnProxyConfigWithdrawn() {
  if (absl::Status status = UseOwnCorefile(); !status.ok()) {
    log::warn("the control plane withdrew its configuration, which stays in force: {}",
              Message(status));
    return;
  }
  log::info("the control plane withdrew its configuration; back to the {} one", corefile_source_);
  // Checked when the settings were read.
  log::SetLevel(settings_.log_level).IgnoreError();
}

Readiness Sidecar::Ready() {
  const bool waited = std::chrono::steady_clock::now() - started_ >=
                      absl::ToChronoNanoseconds(settings_.ready_wait);
  const bool known = feed_status_.source != FeedStatus::Source::kNone;
  Readiness readiness;
  readiness.ready = !drain_until_.has_value() && (ever_in_sync_ || waited);
  readiness.body = fmt::format(
      "{}\nfeed: {}\nage: {}\n", readiness.ready ? "ready" : "not ready",
      feed_status_.in_sync ? "in sync"
                           : (known ? fmt::format("stale, from {}", SourceName(feed_status_.source))
                                    : "nothing yet: passing on to the pod's resolvers"),
      DescribeAge(feed_status_));
  const std::string fault = feed_->status().state_fault;
  if (!fault.empty()) readiness.body += fmt::format("state on disk: {}\n", fault);
  return readiness;
}

std::shared_ptr<const Snapshot> Sidecar::snapshot() { return snapshot_; }

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
  return {{"version", PORTOLAN_VERSION},
          {"node", settings_.node},
          {"corefile", corefile_},
          {"corefileSource", corefile_source_},
          {"corefileNotes", config_->notes()},
          {"feed",
           {{"source", SourceName(status.source)},
            {"controlPlane", status.control_plane},
            {"connected", status.connected},
            {"inSync", status.in_sync},
            {"age", DescribeAge(status)},
            {"stateFault", status.state_fault},
            {"types", types}}},
          {"directory",
           {{"generation", snapshot_->generation()}, {"services", snapshot_->service_count()}}}};
}

void Sidecar::Connections(std::function<void(nlohmann::json)> done) {
  constexpr size_t kMaxPerWorker = 1000;
  struct Gathered {
    nlohmann::json connections = nlohmann::json::array();
    size_t missing;
    std::function<void(nlohmann::json)> done;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->missing = workers_.size();
  gathered->done = std::move(done);
  for (const auto& worker : workers_) {
    worker->ListConnections(kMaxPerWorker, [this, gathered](std::vector<ConnectionInfo> some) {
      loop_.Post([gathered, some = std::move(some)] {
        for (const ConnectionInfo& info : some) gathered->connections.push_back(ToJson(info));
        if (--gathered->missing == 0) gathered->done(std::move(gathered->connections));
      });
    });
  }
}

absl::Status Sidecar::SetLogLevel(std::string level) { return log::SetLevel(level); }

void Sidecar::Drain() { BeginDrain(); }
void Sidecar::Quit() { loop_.Stop(); }

// Connections and queries are taken on until the last connection ends, as the application may dial
// while it shuts down; a kubelet stops a sidecar only when the application is gone.
void Sidecar::BeginDrain() {
  if (drain_until_.has_value()) return;
  const auto& health = config_->health();
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
  if (now >= *drain_until_ || (now >= lameduck_until_ && active() == 0)) {
    loop_.Stop();
  } else {
    drain_check_.Start(kDrainCheckEvery);
  }
}

size_t Sidecar::active() const {
  size_t total = 0;
  for (const auto& worker : workers_) total += worker->active();
  return total;
}

}  // namespace portolan::proxy
