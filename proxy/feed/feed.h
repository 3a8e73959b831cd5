// The feed: the sidecar's xDS client. Keeps a directory that is the control plane's, and says how
// far it can be believed.
//
// It opens one delta ADS stream, takes everything of the types in subscriptions.h but the owners of
// addresses and, unless it is to hold all, the endpoints of Services, of which it takes those it is
// asked for. It applies each response whole or refuses it (NACK), and gives every new snapshot to
// its delegate. When the control plane goes away it goes on with what it has and tries the next
// address, forever. With a state directory it starts from what it had when it last ran.
//
// Until there is a first full set, from the control plane or from disk, nothing is published: half
// a cluster would look like a whole one in which names are missing. The pod's own policy goes its
// own way (policy_replica.h): neither waits for the other, on disk either.
//
// One event loop owns a Feed; all methods but AddMetrics' page, and all calls of the delegate, are
// on it. gRPC's threads and the disk's never block it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "directory/directory.h"
#include "portolan/v1/config.pb.h"
#include "proxy/feed/control_round.h"
#include "proxy/feed/control_stream.h"
#include "proxy/feed/control_trust.h"
#include "proxy/feed/demand.h"
#include "proxy/feed/feed_metrics.h"
#include "proxy/feed/feed_status.h"
#include "proxy/feed/policy_replica.h"
#include "proxy/feed/replica.h"
#include "proxy/feed/state_file.h"
#include "proxy/feed/subscriptions.h"
#include "xds/api/resource_page.h"

namespace portolan::proxy {

struct FeedOptions {
  // "HOST:PORT" as gRPC reads it, tried in turn, after the endpoints of those that the delegate
  // knows for Services. Empty: only what is on disk.
  std::vector<std::string> control_planes;
  // Nothing: plaintext.
  std::optional<ControlTrust> trust;
  // The file of the token that says who we are, read for each attempt to connect; shown over TLS
  // alone. Empty: nothing is shown.
  std::string token_file;
  // What the control plane's certificate has to be for. Empty: the host of the address dialled.
  std::string server_name;
  // NAMESPACE/POD; of another form: no egress policy is asked for.
  std::string node_id;
  // Of the pod and its node: no policy is about them.
  std::vector<IpAddress> always_allowed;
  // Who may connect to the pod is enforced, so that its policies for ingress are asked for too.
  bool enforce_ingress = false;
  // Of this program.
  std::string version;
  // Which ProxyConfig is asked for.
  std::string proxy_config{kDefaultProxyConfig};
  // Holds directory.state. Empty: nothing is saved.
  std::string state_dir;
  // The control plane answers at least this often, or the feed is not in sync. A silent one is
  // asked for a sign of life after half of it and left for the next address after three times it.
  absl::Duration stale_after = absl::Seconds(10);
  // Delays between attempts to connect, doubling from one to the other, each shortened at random by
  // up to a half.
  absl::Duration first_retry = absl::Milliseconds(100);
  absl::Duration last_retry = absl::Seconds(10);
  // After a refused response the stream is opened anew so that the server sends again what was in
  // it. Not at once: it most likely sends the same.
  absl::Duration refused_retry = absl::Seconds(30);
  absl::Duration save_interval = absl::Seconds(1);
  // Whether the endpoints of all Services are held or those that are wanted. The latter are given
  // up when they were neither wanted nor used for so long, and the longest unused beyond so many.
  Directory::Slices endpoints = Directory::Slices::kOfAll;
  absl::Duration endpoints_idle = absl::Minutes(30);
  size_t most_endpoints = 10'000;
};

class FeedDelegate {
 public:
  virtual ~FeedDelegate() = default;
  // A new snapshot. The first one's changes name everything in it.
  virtual void OnDirectory(const Directory::Committed& committed) = 0;
  // An error refuses the configuration: the old one stays, and the control plane is told why.
  virtual absl::Status OnProxyConfig(const v1::ProxyConfig& config) = 0;
  // The control plane has none any more: back to what the sidecar was started with.
  virtual void OnProxyConfigWithdrawn() = 0;
  // What the pod may reach and resolve from now on; never null. Comes first when the policy is
  // known whole, from disk or from the control plane, whatever of the directory is, and at every
  // change.
  virtual void OnEgressRules(std::shared_ptr<const EgressRules> rules) = 0;
  // The same of who may connect to the pod, right after what it may reach; only with
  // enforce_ingress.
  virtual void OnIngressRules(std::shared_ptr<const EgressRules> rules) = 0;
  // Something but last_failure, last_sync, state_fault and the counts changed. Comes after
  // OnDirectory: who is told "in sync" has the directory that is in sync.
  virtual void OnFeedStatus(const FeedStatus& status) = 0;
  // Those of `services` ("namespace/name") whose endpoints were used since this was last asked.
  virtual std::vector<std::string> TakeUsed(const std::vector<std::string>& services) = 0;
  // Of FeedOptions::control_planes, one that is a Service: "ADDRESS:PORT" of its endpoints.
  virtual std::vector<std::string> EndpointsOf(const std::string& /*control_plane*/) { return {}; }
  // There is a connection to a control plane, for other streams as well.
  virtual void OnConnection(const ControlConnection&) {}
  // It is given up: nothing may hold on to the channel.
  virtual void OnConnectionGone() {}
};

class Feed : private AdsStream::Listener {
 public:
  // `loop` and `delegate` outlive the feed.
  Feed(EventLoop& loop, FeedOptions options, FeedDelegate& delegate);
  ~Feed() override;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Loads the state from disk, blocking, publishes it if there is one, and connects.
  void Start();
  // Disconnects and saves what was not saved yet, waiting for the disk. No call of the delegate
  // follows.
  void Stop();

  // Has the owner of `ip`, or the fact that nobody has it, put into the directory, and kept there
  // until it was not asked for kAddressIdle. Without a connection it comes with the next one; a
  // control plane that takes no requests is not asked for more.
  static constexpr size_t kMostAddresses = 4096;
  static constexpr absl::Duration kAddressIdle = absl::Minutes(5);
  void WantAddress(const IpAddress& ip);
  // The same of a Service's endpoints, or the fact that it has none, until neither this was called
  // nor the delegate says that they were used for endpoints_idle. Nothing where all are held.
  void WantEndpoints(const std::string& service_key);
  // The same for what is likely to be wanted soon, and gives up nothing else for it: a pod that
  // asks for the names of all Services does not lose the endpoints of those it talks to.
  void PrefetchEndpoints(const std::string& service_key);
  // As if these were wanted all the time, from now on; what was to be kept before is not any more.
  struct Kept {
    std::vector<IpAddress> addresses;
    std::vector<std::string> services;  // whose endpoints, "namespace/name"
  };
  void Keep(Kept kept);
  bool is_wanted(const std::string& service_key) const { return endpoints_.Holds(service_key); }

  FeedStatus status() const;
  // As published; never null.
  const std::shared_ptr<const Snapshot>& snapshot() const { return published_; }
  // As published; null while no policy is known.
  const std::shared_ptr<const EgressRules>& egress_rules() const { return published_rules_; }
  const std::shared_ptr<const EgressRules>& ingress_rules() const { return published_ingress_; }
  // Adds those of a type ("Service") that are held; an error names the types there are.
  absl::Status ListHeld(std::string_view type, api::ResourcePage& page) const;
  // The source stays valid when the feed is gone.
  void AddMetrics(MetricsPage& page) const;

 private:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

  // Of one type: what this stream brought, and what was refused ever.
  struct Progress {
    bool synced = false;
    // A response was refused, so a part is missing: until the next stream, and of policies until it
    // comes again.
    bool lacking = false;
    // When the first response of an update came whose last has not come yet.
    std::optional<absl::Duration> update_began;
    uint64_t nacks = 0;
    std::string last_nack;
  };

  void OnStreamOpen() override;
  void OnResponse(const Response& response) override;
  void OnStreamClosed(grpc::StatusCode code, const std::string& reason) override;

  void LoadFromDisk(const std::string& path);
  void RestoreProxyConfig(v1::SavedResource saved);
  StateImage TakeImage() const;
  std::string StateFault() const;

  void Connect();
  Transport CurrentTransport();
  void Disconnect();
  void RetryLater(std::string_view reason);
  void Subscribe(size_t type);
  void AddNames(size_t type, Request& request) const;
  void ForEachHeld(size_t type,
                   absl::FunctionRef<void(const std::string&, const std::string&)> visit) const;
  uint64_t HeldCount(size_t type) const;
  void AskLater();
  void ReviewLater();
  void ReviewDemand();
  void NoteUse();
  void WantKept();
  void SendDemand();
  template <typename Key>
  std::vector<Key> TellDemand(size_t type, Demand<Key>& demand);
  void Heard();
  void CheckSilence();
  void Probe();

  absl::Status Apply(size_t type, const Response& response, Directory::Committed& committed);
  absl::Status ApplyProxyConfig(const Response& response);
  void OnProxyConfigRemoved();
  PolicyReplica::Own OwnPolicy() const;
  absl::Status ApplyPolicy(const Response& response);
  void TrackPolicy(size_t type);
  void AskForPolicies();
  void PublishPolicy();
  void Track(size_t type, const Response& response, const absl::Status& applied);
  void Acknowledge(const Response& response, const absl::Status& applied);
  void CountResponse(size_t type, const Response& response, const absl::Status& applied);

  bool AllSynced() const;
  bool IsAnswering() const;
  bool InSync() const;
  void OnSynced();
  void Publish(const Directory::Committed& committed);
  void PublishEverything(FeedStatus::Source source);
  void PublishStatus();
  void StateChanged();

  EventLoop& loop_;
  const FeedOptions options_;
  const FeedTypes types_;
  FeedDelegate& delegate_;
  const std::shared_ptr<FeedMetrics> metrics_;
  std::minstd_rand random_;

  // None of these is ever null.
  std::unique_ptr<Replica> replica_;
  std::shared_ptr<const Snapshot> published_;
  std::unique_ptr<PolicyReplica> policy_;

  std::shared_ptr<const EgressRules> published_rules_;
  std::shared_ptr<const EgressRules> published_ingress_;
  std::optional<v1::SavedResource> proxy_config_;
  bool proxy_config_missing_ = false;
  // The configuration that this stream brought and the delegate refused, so that it is not asked
  // again when the answer to a probe repeats it.
  struct RefusedConfig {
    std::string bytes;
    absl::Status why;
  };
  std::optional<RefusedConfig> refused_config_;
  FeedStatus::Source source_ = FeedStatus::Source::kNone;
  // Monotonic.
  absl::Duration last_sync_ = -absl::InfiniteDuration();
  // As the delegate was last told.
  std::optional<FeedStatus> told_;
  // Why the state on disk was not used at the start.
  std::string state_not_used_;
  std::unique_ptr<StateWriter> writer_;

  Demand<IpAddress> addresses_;
  Demand<std::string> endpoints_;  // of Services
  Kept kept_;

  std::optional<ControlTrust> trust_;
  ControlConnection connection_;
  std::unique_ptr<AdsStream> stream_;
  std::array<Progress, kFeedTypeCount> progress_;
  bool connected_ = false;
  std::string last_failure_;
  // An outage is logged when it begins and when it ends.
  bool outage_logged_ = false;
  // Where is tried now or next. Empty before Start, and without control planes.
  ControlRound round_;
  const ControlRound::EndpointsOf endpoints_of_;
  // The stream brought every full set, so another round is begun when it ends.
  bool was_synced_ = false;
  absl::Duration retry_delay_;
  // Monotonic.
  absl::Duration last_heard_;
  bool probe_sent_ = false;

  EventLoop::Timer retry_timer_;
  EventLoop::Timer refused_timer_;
  EventLoop::Timer silence_timer_;
  EventLoop::Timer demand_timer_;
  EventLoop::Timer ask_timer_;
};

}  // namespace portolan::proxy
