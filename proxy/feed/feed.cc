#include "proxy/feed/feed.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "common/token_file.h"
#include "xds/api/grpc_process.h"

namespace portolan::proxy {
namespace {

using envoy::service::discovery::v3::Resource;

// google.rpc.Code INVALID_ARGUMENT.
constexpr int kInvalidArgument = 3;
// In parts of stale_after: when a silent control plane is asked for a sign of life, and left.
constexpr double kProbeAfter = 0.5;
constexpr double kLeaveAfter = 3;

std::optional<size_t> TypeIndex(std::string_view type_url) {
  for (size_t i = 0; i < kFeedTypes.size(); ++i) {
    if (kFeedTypes[i].type_url == type_url) return i;
  }
  return std::nullopt;
}

DirectoryChanges Everything(const Snapshot& snapshot) {
  DirectoryChanges all;
  snapshot.ForEachNamespace([&](const Namespace& ns) { all.namespaces.insert(ns.name); });
  snapshot.ForEachService(
      [&](const Service& service) { all.services.insert(service.name.ToString()); });
  snapshot.ForEachSliceSet(
      [&](const std::string& key, const SliceSet&) { all.endpoints.insert(key); });
  snapshot.ForEachServiceImport(
      [&](const ServiceImport& import) { all.service_imports.insert(import.name.ToString()); });
  snapshot.ForEachImportedSliceSet(
      [&](const std::string& key, const SliceSet&) { all.imported_endpoints.insert(key); });
  snapshot.ForEachAddress([&](const AddressOwner& owner) { all.addresses.insert(owner.ip); });
  return all;
}

FeedTypes TypesFor(const FeedOptions& options) {
  FeedTypes types =
      options.endpoints == Directory::Slices::kOfAll ? kFeedTypes : kFeedTypesOnDemand;
  types[kProxyConfigIndex].name = options.proxy_config;
  return types;
}

}  // namespace

Feed::Feed(EventLoop& loop, FeedOptions options, FeedDelegate& delegate)
    : loop_(loop),
      options_(std::move(options)),
      types_(TypesFor(options_)),
      delegate_(delegate),
      metrics_(std::make_shared<FeedMetrics>()),
      random_(std::random_device{}()),
      replica_(std::make_unique<Replica>(options_.endpoints)),
      published_(replica_->snapshot()),
      policy_(std::make_unique<PolicyReplica>(OwnPolicy())),
      addresses_({.most = kMostAddresses, .idle = kAddressIdle}),
      endpoints_({.most = options_.most_endpoints, .idle = options_.endpoints_idle}),
      trust_(options_.trust),
      round_(options_.control_planes, options_.server_name),
      endpoints_of_([this](const std::string& flag) { return delegate_.EndpointsOf(flag); }),
      retry_delay_(options_.first_retry),
      retry_timer_(loop.AddTimer([this] { Connect(); })),
      refused_timer_(loop.AddTimer([this] {
        Disconnect();
        Connect();
      })),
      silence_timer_(loop.AddTimer([this] { CheckSilence(); })),
      demand_timer_(loop.AddTimer([this] { ReviewDemand(); })),
      ask_timer_(loop.AddTimer([this] { SendDemand(); })) {}

Feed::~Feed() { Stop(); }

void Feed::Start() {
  api::PrepareGrpc();
  if (!options_.state_dir.empty()) {
    const std::string path = options_.state_dir + "/directory.state";
    LoadFromDisk(path);
    const auto take = [this]() -> StateWriter::Image {
      return [image = std::make_shared<const StateImage>(TakeImage())](const std::string& to) {
        return WriteState(*image, to);
      };
    };
    writer_ = std::make_unique<StateWriter>(
        loop_, path, options_.save_interval, take,
        StateWriter::Counters{metrics_->state_writes, metrics_->state_write_failures});
  }
  round_.Begin(endpoints_of_, random_);
  PublishStatus();
  Connect();
}

void Feed::Stop() {
  retry_timer_.Cancel();
  demand_timer_.Cancel();
  ask_timer_.Cancel();
  if (InSync()) StateChanged();  // so that the file says how fresh it is
  if (writer_ != nullptr) writer_->Stop();
  writer_.reset();
  Disconnect();
  metrics_->connected = false;
  metrics_->in_sync = false;
}

// --- The state on disk ---

void Feed::LoadFromDisk(const std::string& path) {
  auto state = LoadState(path, options_.version, options_.endpoints, OwnPolicy());
  if (absl::IsNotFound(state.status())) return;
  if (!state.ok()) {
    state_not_used_ = std::string(Message(state.status()));
    log::warn("{}", state_not_used_);
    return;
  }
  replica_ = std::move(state->replica);
  policy_ = std::move(state->policy);
  // Between two runs there is only the wall clock, which may have been set back.
  const absl::Time synced = state->header.synced;
  const bool has_directory = synced != kNeverSynced;
  if (has_directory) {
    last_sync_ = Monotonic() - std::max(absl::Now() - synced, absl::ZeroDuration());
  }
  if (state->proxy_config) RestoreProxyConfig(*std::move(state->proxy_config));
  if (!has_directory) {
    log::info("starting from {}: the pod's policy; there was no whole directory", path);
    return PublishPolicy();
  }
  log::info("starting from {}: {} services, as of {}", path, replica_->snapshot()->service_count(),
            absl::FormatTime(absl::RFC3339_sec, synced, absl::UTCTimeZone()));
  if (options_.endpoints != Directory::Slices::kOfAll) {
    replica_->snapshot()->ForEachSliceSet(
        [this](const std::string& key, const SliceSet&) { WantEndpoints(key); });
  }
  PublishPolicy();
  PublishEverything(FeedStatus::Source::kDisk);
}

void Feed::RestoreProxyConfig(v1::SavedResource saved) {
  if (saved.name() != options_.proxy_config) return;
  v1::ProxyConfig config;
  absl::Status status = saved.resource().UnpackTo(&config) ? delegate_.OnProxyConfig(config)
                                                           : InvalidArgument("it cannot be read");
  if (status.ok()) {
    proxy_config_ = std::move(saved);
  } else {
    log::warn("saved configuration not used: {}", Message(status));
  }
}

StateImage Feed::TakeImage() const {
  if (source_ == FeedStatus::Source::kNone) {
    return {Replica().image(), policy_->image(), proxy_config_, kNeverSynced, options_.version};
  }
  const absl::Time synced = absl::Now() - status().Age(Monotonic());
  return {replica_->image(), policy_->image(), proxy_config_, synced, options_.version};
}

std::string Feed::StateFault() const {
  if (writer_ != nullptr && !writer_->fault().empty())
    return "cannot be saved: " + writer_->fault();
  return state_not_used_;
}

// Half a directory is not saved; a policy that is in force is whole.
void Feed::StateChanged() {
  const bool has_any = source_ != FeedStatus::Source::kNone || policy_->rules() != nullptr;
  if (writer_ != nullptr && has_any) writer_->Changed();
}

// --- Connecting ---

void Feed::Connect() {
  if (round_.empty()) return;
  // A kubelet replaces the file while the token in it is still good.
  absl::StatusOr<std::string> token = std::string();
  if (trust_ && !options_.token_file.empty()) token = ReadToken(options_.token_file);
  if (!token.ok()) {
    metrics_->unusable_tokens.Add();
    return RetryLater(Message(token.status()));
  }
  metrics_->connects.Add();
  connection_ = {MakeControlChannel(round_.current().address, CurrentTransport()),
                 *std::move(token)};
  AdsStream::Listener& listener = *this;
  stream_ = std::make_unique<AdsStream>(loop_, connection_, listener);
  // What is held may be a long list: it is made only when there is a connection.
  Subscribe(0);
  Heard();
}

Transport Feed::CurrentTransport() {
  if (!trust_) return {};
  return {trust_->Roots(metrics_->unusable_cas), round_.current().server_name};
}

void Feed::Subscribe(size_t type) {
  Request request;
  if (type == 0) {
    auto* node = request.mutable_node();
    node->set_id(options_.node_id);
    node->set_user_agent_name("portolan-proxy");
    node->set_user_agent_version(options_.version);
  }
  request.set_type_url(std::string(types_[type].type_url));
  AddNames(type, request);
  // Without names it would be a wildcard. Of nothing everything is here.
  if (request.resource_names_subscribe().empty()) {
    progress_[type].synced = types_[type].counts_for_sync();
    return;
  }
  stream_->Send(std::move(request));
}

void Feed::OnStreamOpen() {
  connected_ = true;
  last_failure_.clear();
  addresses_.TakeNew();
  endpoints_.TakeNew();
  policy_->BeginStream();
  for (size_t i = 1; i < types_.size(); ++i) Subscribe(i);
  delegate_.OnConnection(connection_);
  PublishStatus();
}

void Feed::OnStreamClosed(grpc::StatusCode, const std::string& reason) { RetryLater(reason); }

void Feed::Disconnect() {
  if (std::exchange(connected_, false)) delegate_.OnConnectionGone();
  stream_.reset();
  connection_ = {};
  for (Progress& progress : progress_) {
    progress.synced = progress.lacking = false;
    progress.update_began.reset();
  }
  refused_config_.reset();
  silence_timer_.Cancel();
  refused_timer_.Cancel();
}

void Feed::RetryLater(std::string_view reason) {
  const std::string& address = round_.current().address;
  if (outage_logged_) {
    log::debug("control plane {}: {}", address, reason);
  } else {
    log::warn("control plane {}: {}; going on with {} services and trying again", address, reason,
              published_->service_count());
  }
  outage_logged_ = true;
  last_failure_ = std::string(reason);
  Disconnect();
  using How = ControlRound::How;
  round_.Advance(std::exchange(was_synced_, false) ? How::kAnew : How::kGoOn, endpoints_of_,
                 random_);
  std::uniform_real_distribution<double> part(0.5, 1.0);
  retry_timer_.Start(retry_delay_ * part(random_));
  retry_delay_ = std::min(retry_delay_ * 2, options_.last_retry);
  PublishStatus();
}

// --- Silence ---

void Feed::Heard() {
  last_heard_ = Monotonic();
  probe_sent_ = false;
  silence_timer_.Start(options_.stale_after * kProbeAfter);
}

void Feed::CheckSilence() {
  const absl::Duration silence = Monotonic() - last_heard_;
  if (silence >= options_.stale_after * kLeaveAfter) return RetryLater("no answer");
  if (!probe_sent_) Probe();
  const double next = silence < options_.stale_after ? 1 : kLeaveAfter;
  silence_timer_.Start(options_.stale_after * next - silence);
  PublishStatus();
}

// A connection that answers pings does not prove that the program behind it still does. Subscribing
// again has to be answered, be it with the same resource or with its absence.
void Feed::Probe() {
  probe_sent_ = true;
  if (!connected_) return;
  metrics_->probes.Add();
  Request request;
  request.set_type_url(std::string(api::kProxyConfigType));
  request.add_resource_names_subscribe(options_.proxy_config);
  stream_->Send(std::move(request));
}

// --- Responses ---

void Feed::OnResponse(const Response& response) {
  connected_ = true;
  Heard();
  metrics_->received_bytes.Add(response.ByteSizeLong());
  const auto type = TypeIndex(response.type_url());
  if (!type) {
    metrics_->unknown_type_responses.Add();
    Acknowledge(response, InvalidArgument("type '{}' was not subscribed to", response.type_url()));
    return stream_->ReadNext();
  }
  const bool was_synced = AllSynced();
  Directory::Committed committed{replica_->snapshot(), {}};
  const absl::Status applied = Apply(*type, response, committed);
  Track(*type, response, applied);
  CountResponse(*type, response, applied);
  PublishPolicy();
  Publish(committed);
  if (stream_ == nullptr) return;  // The delegate stopped the feed.
  if (!was_synced && AllSynced()) OnSynced();
  if (InSync()) last_sync_ = Monotonic();
  PublishStatus();
  if (stream_ == nullptr) return;
  // Last, so that what is acknowledged is in force.
  Acknowledge(response, applied);
  // Not sooner: a response may come before OnStreamOpen, which asks for all with their versions.
  if (types_[*type].is_policy()) AskForPolicies();
  stream_->ReadNext();
}

absl::Status Feed::Apply(size_t type, const Response& response, Directory::Committed& committed) {
  if (type == kProxyConfigIndex) return ApplyProxyConfig(response);
  if (types_[type].is_policy()) return ApplyPolicy(response);
  auto result = replica_->Apply(response);
  if (!result.ok()) return result.status();
  committed = *std::move(result);
  return absl::OkStatus();
}

absl::Status Feed::ApplyProxyConfig(const Response& response) {
  for (const Resource& resource : response.resources()) {
    if (resource.name() != options_.proxy_config) {
      return InvalidArgument("ProxyConfig '{}' was not subscribed to", resource.name());
    }
    proxy_config_missing_ = false;
    const std::string& bytes = resource.resource().value();
    if (proxy_config_ && proxy_config_->resource().value() == bytes) {
      proxy_config_->set_version(resource.version());
      continue;
    }
    if (refused_config_ && refused_config_->bytes == bytes) return refused_config_->why;
    const auto config = api::ParseProxyConfig(resource);
    absl::Status status = config.ok() ? delegate_.OnProxyConfig(*config) : config.status();
    if (!status.ok()) {
      refused_config_ = RefusedConfig{bytes, status};
      return status;
    }
    proxy_config_.emplace();
    proxy_config_->set_name(resource.name());
    proxy_config_->set_version(resource.version());
    *proxy_config_->mutable_resource() = resource.resource();
    StateChanged();
  }
  if (response.removed_resources_size() > 0) OnProxyConfigRemoved();
  return absl::OkStatus();
}

// A control plane need not have a Corefile; one that this sidecar was told the name of is another
// thing.
void Feed::OnProxyConfigRemoved() {
  if (!std::exchange(proxy_config_missing_, true) && options_.proxy_config != kDefaultProxyConfig) {
    log::warn("control plane {} has no ProxyConfig '{}'", round_.current().address,
              options_.proxy_config);
  }
  if (!proxy_config_) return;
  proxy_config_.reset();
  delegate_.OnProxyConfigWithdrawn();
  StateChanged();
}

void Feed::Track(size_t type, const Response& response, const absl::Status& applied) {
  Progress& progress = progress_[type];
  if (applied.ok()) {
    progress.last_nack.clear();
  } else {
    ++progress.nacks;
    const bool is_news = progress.last_nack != Message(applied);
    progress.last_nack = std::string(Message(applied));
    if (is_news) log::warn("refused what the control plane sent: {}", Message(applied));
  }
  if (types_[type].is_policy()) return TrackPolicy(type);
  if (!types_[type].counts_for_sync()) return;
  if (!applied.ok() && !progress.lacking) {
    progress.lacking = true;
    refused_timer_.Start(options_.refused_retry);
  }
  if (!response.system_version_info().empty()) {
    progress.synced = true;
    progress.update_began.reset();
  } else if (!progress.update_began) {
    progress.update_began = Monotonic();
  }
}

void Feed::CountResponse(size_t type, const Response& response, const absl::Status& applied) {
  FeedMetrics::OfType& counted = metrics_->types[type];
  counted.responses.Add();
  counted.resources.Add(static_cast<uint64_t>(response.resources_size()));
  counted.removed.Add(static_cast<uint64_t>(response.removed_resources_size()));
  if (!applied.ok()) counted.nacks.Add();
}

void Feed::Acknowledge(const Response& response, const absl::Status& applied) {
  Request request;
  request.set_type_url(response.type_url());
  request.set_response_nonce(response.nonce());
  if (!applied.ok()) {
    request.mutable_error_detail()->set_code(kInvalidArgument);
    request.mutable_error_detail()->set_message(std::string(Message(applied)));
  }
  stream_->Send(std::move(request));
}

// --- What others see ---

bool Feed::AllSynced() const {
  for (size_t i = 0; i < types_.size(); ++i) {
    const bool is_whole = progress_[i].synced && !progress_[i].lacking;
    if (types_[i].counts_for_sync() && !is_whole) return false;
  }
  return true;
}

bool Feed::IsAnswering() const {
  return connected_ && Monotonic() - last_heard_ < options_.stale_after;
}

bool Feed::InSync() const {
  if (!IsAnswering() || !AllSynced()) return false;
  const absl::Duration now = Monotonic();
  return std::none_of(progress_.begin(), progress_.end(), [&](const Progress& progress) {
    return progress.update_began && now - *progress.update_began >= options_.stale_after;
  });
}

void Feed::OnSynced() {
  retry_delay_ = options_.first_retry;
  outage_logged_ = false;
  log::info("in sync with control plane {}: {} services", round_.current().address,
            published_->service_count());
  was_synced_ = true;
  StateChanged();
}

void Feed::Publish(const Directory::Committed& committed) {
  if (source_ == FeedStatus::Source::kNone) {
    if (AllSynced()) PublishEverything(FeedStatus::Source::kControlPlane);
    return;
  }
  if (AllSynced()) source_ = FeedStatus::Source::kControlPlane;
  if (committed.changes.empty()) return;
  published_ = committed.snapshot;
  StateChanged();
  delegate_.OnDirectory(committed);
}

void Feed::PublishEverything(FeedStatus::Source source) {
  source_ = source;
  published_ = replica_->snapshot();
  delegate_.OnDirectory({published_, Everything(*published_)});
}

FeedStatus Feed::status() const {
  FeedStatus status;
  status.source = source_;
  status.connected = connected_;
  status.answering = IsAnswering();
  status.endpoints_full = endpoints_.full();
  status.in_sync = InSync();
  if (!round_.empty()) status.control_plane = round_.current().address;
  status.last_failure = last_failure_;
  status.last_sync = status.in_sync ? Monotonic() : last_sync_;
  status.proxy_config_missing = proxy_config_missing_;
  status.policy_known = policy_->rules() != nullptr;
  status.state_fault = StateFault();
  for (size_t i = 0; i < types_.size(); ++i) {
    const Progress& progress = progress_[i];
    status.types.push_back({types_[i].type_url, progress.synced && !progress.lacking, HeldCount(i),
                            progress.nacks, progress.last_nack});
  }
  return status;
}

void Feed::PublishStatus() {
  FeedStatus now = status();
  metrics_->connected = now.connected;
  metrics_->in_sync = now.in_sync;
  metrics_->proxy_config_missing = now.proxy_config_missing;
  metrics_->policy_in_transit = policy_->in_transit();
  metrics_->endpoints_in_transit = replica_->endpoints_in_transit();
  metrics_->endpoints_wanted = endpoints_.size();
  metrics_->endpoints_held = replica_->snapshot()->slice_set_count();
  if (last_sync_ != -absl::InfiniteDuration()) {
    metrics_->last_sync_ms = absl::ToInt64Milliseconds(last_sync_);
  }
  for (size_t i = 0; i < now.types.size(); ++i) metrics_->types[i].held = now.types[i].held;
  if (told_ && SameButCounts(*told_, now)) return;
  told_ = now;
  delegate_.OnFeedStatus(now);
}

void Feed::AddMetrics(MetricsPage& page) const {
  page.AddSource([metrics = metrics_](MetricFamilies& families) { metrics->AddSamples(families); });
}

}  // namespace portolan::proxy
