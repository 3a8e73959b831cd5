// The sidecar as a whole: what the feed brings is compiled once, here on the main thread, and
// handed to the workers; what the admin pages ask is answered from here.
//
// Main thread only, but for the metrics page.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/line_output.h"
#include "common/metrics.h"
#include "common/use_filter.h"
#include "dns/plugins/service_records.h"
#include "proxy/admin/admin.h"
#include "proxy/conntrack.h"
#include "proxy/corefile_pages.h"
#include "proxy/dns_config.h"
#include "proxy/explain/explainer.h"
#include "proxy/explain/policy_tester.h"
#include "proxy/explained_sidecar.h"
#include "proxy/feed/feed.h"
#include "proxy/forwarder/routes.h"
#include "proxy/own_dialling.h"
#include "proxy/own_place.h"
#include "proxy/pod_resolvers.h"
#include "proxy/reporting/report.h"
#include "proxy/reporting/reporter.h"
#include "proxy/reporting/search_walks.h"
#include "proxy/settings.h"
#include "proxy/sidecar_policy.h"
#include "proxy/worker.h"

namespace portolan::proxy {

class Sidecar : private FeedDelegate, private AdminSource {
 public:
  // Opens all sockets and reads the Corefile, the CAs and the state on disk. An error names what
  // failed. With UDP or inbound connections it gives up privileges: to be called before there is a
  // second thread.
  static absl::StatusOr<std::unique_ptr<Sidecar>> Start(EventLoop& loop, Settings settings);
  ~Sidecar() override;

 private:
  Sidecar(EventLoop& loop, Settings settings);

  absl::Status OpenAccessLog();
  absl::Status OpenWorkers(std::vector<UdpSockets> udp);
  void AddInbound(WorkerOptions& options, uint64_t descriptors) const;
  absl::Status OpenPages();
  void StartReporter();
  void AddReported(const MetricsPage::Source& source);
  void GatherReport(std::function<void(v1::SidecarReport)> done);
  absl::Status StartFeed();

  void OnDnsConfig();
  void ConfigureDns();
  void FollowDialling();
  void KeepDialled();
  void PublishClusterData();
  void BeginDrain();
  void CheckDrained();
  EndpointsHeld endpoints_held() const;
  bool OthersMayDial();
  size_t active() const;

  // FeedDelegate
  void OnDirectory(const Directory::Committed& committed) override;
  absl::Status OnProxyConfig(const v1::ProxyConfig& config) override;
  void OnProxyConfigWithdrawn() override;
  void OnEgressRules(std::shared_ptr<const EgressRules> rules) override {
    policy_.OnRules(std::move(rules));
  }
  void OnIngressRules(std::shared_ptr<const EgressRules> rules) override {
    policy_.OnIngressRules(std::move(rules));
  }
  void OnFeedStatus(const FeedStatus& status) override;
  std::vector<std::string> TakeUsed(const std::vector<std::string>& services) override;
  std::vector<std::string> EndpointsOf(const std::string& control_plane) override {
    return dialling_.EndpointsOf(control_plane);
  }
  void OnConnection(const ControlConnection& connection) override;
  void OnConnectionGone() override;

  // AdminSource
  Readiness Ready() override;
  bool Healthy() override { return !drain_until_.has_value(); }
  std::shared_ptr<const Snapshot> snapshot() override;
  bool WantsEndpoints(const std::string& service_key) override;
  nlohmann::json ConfigDump() override;
  void Policy(std::function<void(nlohmann::json)> done) override { policy_.Page(std::move(done)); }
  absl::StatusOr<nlohmann::json> HeldResources(const std::string& type,
                                               const std::string& after) override;
  void Connections(std::function<void(nlohmann::json)> done) override;
  void Explain(const ExplainRequest& request,
               std::function<void(absl::StatusOr<nlohmann::json>)> done) override {
    explainer_->Explain(request, std::move(done));
  }
  void TestPolicy(const PolicyTestRequest& request,
                  std::function<void(absl::StatusOr<nlohmann::json>)> done) override {
    policy_tester_->Test(request, std::move(done));
  }
  absl::Status SetLogLevel(std::string level) override;
  void Drain() override;
  void Quit() override;

  EventLoop& loop_;
  const Settings settings_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  MetricsPage metrics_;
  MetricsPage reported_;  // of that, what reports are made of: all of it takes a millisecond

  DnsConfig dns_config_;
  PodResolvers pod_resolvers_;
  CorefilePages corefile_pages_;
  ConntrackWatch conntrack_;

  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  OwnPlace place_;
  OwnDialling dialling_;
  dns::ServiceRecordsCompiler records_;
  RouteTableBuilder routes_;
  FeedStatus feed_status_;
  bool ever_in_sync_ = false;
  std::shared_ptr<ServiceMetrics> service_metrics_;
  SearchWalks search_walks_;  // of all workers
  WorkerReports worker_reports_;
  UseFilter used_services_;                 // marked by the workers
  std::vector<std::string> kept_services_;  // whose endpoints dialling_ needs

  SidecarPolicy policy_;  // the workers use what it holds
  Fd access_log_file_;
  std::unique_ptr<LineOutput> access_log_;  // null: none, or standard output
  std::vector<std::unique_ptr<Worker>> workers_;
  RunningSidecar explained_;
  std::unique_ptr<Explainer> explainer_;
  std::unique_ptr<PolicyTester> policy_tester_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Feed> feed_;  // tells the reporter of its connections
  std::unique_ptr<Admin> admin_;

  EventLoop::Watch on_sigterm_;
  EventLoop::Watch on_sigint_;
  EventLoop::Timer drain_check_;
  EventLoop::Timer trim_;
  size_t changes_since_trim_ = 0;
  // Set once a stop has begun: not before lameduck_until_, not after drain_until_.
  std::optional<std::chrono::steady_clock::time_point> drain_until_;
  std::chrono::steady_clock::time_point lameduck_until_;
  // When the pod's sockets were looked at last, and what was seen.
  std::chrono::steady_clock::time_point sockets_seen_;
  bool others_seen_ = false;
};

}  // namespace portolan::proxy
