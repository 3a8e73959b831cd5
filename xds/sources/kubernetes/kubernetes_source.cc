#include "xds/sources/kubernetes/kubernetes_source.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/monotonic.h"
#include "directory/listing.h"

namespace portolan::xds {
namespace {

struct FollowedResource {
  ApiResource resource;
  KnownKind kind;
};

const std::vector<FollowedResource>& Followed() {
  static const std::vector<FollowedResource> kFollowed = {
      {{"", "v1", "namespaces", "Namespace"}, KnownKind::kNamespace},
      {{"", "v1", "services", "Service"}, KnownKind::kService},
      {{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"}, KnownKind::kEndpointSlice},
      {{"", "v1", "pods", "Pod"}, KnownKind::kPod},
      {{"", "v1", "nodes", "Node"}, KnownKind::kNode},
      {{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"}, KnownKind::kNetworkPolicy},
      // Since Kubernetes 1.33.
      {{"networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", true}, KnownKind::kServiceCidr},
      {{"multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport", true},
       KnownKind::kServiceImport},
      {{"portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy", true},
       KnownKind::kDnsEgressPolicy},
      {{"policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy",
        true},
       KnownKind::kClusterNetworkPolicy},
      {{"policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", true},
       KnownKind::kAdminNetworkPolicy},
  };
  return kFollowed;
}

constexpr WatchEvent::Type kEventTypes[] = {WatchEvent::Type::kAdded, WatchEvent::Type::kModified,
                                            WatchEvent::Type::kDeleted, WatchEvent::Type::kBookmark,
                                            WatchEvent::Type::kError};

void AddKindMetrics(MetricFamilies& families, const FollowedKind& kind) {
  const Reflector::Stats& stats = kind.reflector().stats();
  const std::string name = kind.reflector().resource().name();
  const Labels labels = {{"resource", name}};
  for (const WatchEvent::Type type : kEventTypes) {
    AddCounterSample(families, "portolan_source_events_total",
                     "Events of the API server's watches, those of a streamed list among them.",
                     {{"resource", name}, {"type", EventName(type)}},
                     static_cast<double>(stats.events[static_cast<size_t>(type)]));
  }
  for (size_t i = 0; i < Reflector::kFailures; ++i) {
    AddCounterSample(families, "portolan_source_failures_total",
                     "Lists and watches that failed, and objects that could not be read.",
                     {{"resource", name},
                      {"reason", Reflector::FailureName(static_cast<Reflector::Failure>(i))}},
                     static_cast<double>(stats.failures[i]));
  }
  AddCounterSample(families, "portolan_source_lists_total", "Lists that were completed.", labels,
                   static_cast<double>(stats.lists));
  AddCounterSample(families, "portolan_source_relists_total",
                   "Lists begun after the first, as a watch could not go on.", labels,
                   static_cast<double>(stats.relists));
  AddCounterSample(families, "portolan_source_watches_total", "Watches begun.", labels,
                   static_cast<double>(stats.watches));
  AddGaugeSample(families, "portolan_source_objects", "Objects that the API server has.", labels,
                 static_cast<double>(kind.objects()));
  AddGaugeSample(families, "portolan_source_invalid_objects",
                 "Those of them whose last good state is in force, or none.", labels,
                 static_cast<double>(kind.invalid()));
  AddGaugeSample(families, "portolan_source_connected", "1 while a watch stands.", labels,
                 stats.connected ? 1 : 0);
  AddGaugeSample(families, "portolan_source_absent",
                 "1 while the API server does not have the resource, and need not.", labels,
                 stats.absent ? 1 : 0);
  AddGaugeSample(families, "portolan_source_complete", "1 once all objects were read.", labels,
                 kind.known() ? 1 : 0);
  if (stats.last_event == absl::Time()) return;
  AddGaugeSample(families, "portolan_source_last_event_timestamp_seconds",
                 "When the last event or bookmark came.", labels,
                 absl::ToDoubleSeconds(stats.last_event - absl::UnixEpoch()));
}

nlohmann::json DescribeKind(const FollowedKind& kind) {
  const Reflector::Stats& stats = kind.reflector().stats();
  nlohmann::json events = nlohmann::json::object();
  for (const WatchEvent::Type type : kEventTypes) {
    events[std::string(EventName(type))] = stats.events[static_cast<size_t>(type)];
  }
  nlohmann::json failures = nlohmann::json::object();
  for (size_t i = 0; i < Reflector::kFailures; ++i) {
    if (stats.failures[i] == 0) continue;
    failures[std::string(Reflector::FailureName(static_cast<Reflector::Failure>(i)))] =
        stats.failures[i];
  }
  return {{"resource", kind.reflector().resource().name()},
          {"complete", kind.known()},
          {"connected", stats.connected},
          {"absent", stats.absent},
          {"objects", kind.objects()},
          {"invalidObjects", kind.invalid()},
          {"resourceVersion", stats.resource_version},
          {"lastEvent", TimeJson(stats.last_event)},
          {"lists", stats.lists},
          {"relists", stats.relists},
          {"watches", stats.watches},
          {"events", std::move(events)},
          {"failures", std::move(failures)},
          {"lastFailure", stats.last_failure}};
}

}  // namespace

KubernetesSource::KubernetesSource(EventLoop& loop, ApiClient& client, Options options,
                                   Directory& directory, OnChange on_change)
    : options_(options), directory_(directory), on_change_(std::move(on_change)) {
  timer_ = loop.AddTimer([this] { Step(); });
  Reflector::Options reflector = options_.reflector;
  reflector.is_let_in = [this] { return IsLetIn(); };
  for (const FollowedResource& followed : Followed()) {
    const bool is_observed = followed.kind == KnownKind::kDnsEgressPolicy;
    kinds_.push_back(std::make_unique<FollowedKind>(
        loop, client, followed.resource, followed.kind, directory_, reflector,
        [this] { Changed(); }, is_observed ? options_.dns_egress_policies : nullptr));
  }
}

absl::Status KubernetesSource::Start() {
  for (const auto& kind : kinds_) kind->Start();
  return absl::OkStatus();
}

std::vector<std::string> KubernetesSource::missing() const {
  std::vector<std::string> missing;
  for (const auto& kind : kinds_) {
    if (kind->known()) continue;
    const std::string& failure = kind->reflector().stats().last_failure;
    missing.push_back(fmt::format("{}: {}", kind->reflector().resource().name(),
                                  failure.empty() ? "being listed" : failure));
  }
  return missing;
}

// To one that every server has; the role allows them all or is of no use.
bool KubernetesSource::IsLetIn() const {
  return std::any_of(kinds_.begin(), kinds_.end(), [](const auto& kind) {
    const Reflector& reflector = kind->reflector();
    return !reflector.resource().optional && reflector.stats().connected;
  });
}

void KubernetesSource::Changed() {
  if (!complete_) {
    complete_ = std::all_of(kinds_.begin(), kinds_.end(), [](const auto& k) { return k->known(); });
    if (!complete_) return;
  }
  if (scheduled_) return;
  scheduled_ = true;
  since_ = absl::Now();
  // No later than the next turn of the loop, so that what arrived together leaves together.
  timer_.Start(std::max(absl::ZeroDuration(), options_.gather - (Monotonic() - last_step_)));
}

void KubernetesSource::Step() {
  scheduled_ = false;
  last_step_ = Monotonic();
  on_change_(since_);
}

void KubernetesSource::AddMetrics(MetricFamilies& families) const {
  for (const auto& kind : kinds_) AddKindMetrics(families, *kind);
}

nlohmann::json KubernetesSource::Describe() const {
  nlohmann::json resources = nlohmann::json::array();
  for (const auto& kind : kinds_) resources.push_back(DescribeKind(*kind));
  return {{"type", "kubernetes"},
          {"complete", complete_},
          {"missing", missing()},
          {"resources", std::move(resources)}};
}

}  // namespace portolan::xds
