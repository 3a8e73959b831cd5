// The control plane as a whole: a source fills the Directory, and sidecars, the API and the pages
// for probes and Prometheus are served out of it.
//
// One loop owns the source, the Directory and the cache of resources; gRPC's own threads run the
// streams. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/followed_file.h"
#include "common/followed_folder.h"
#include "common/http/server.h"
#include "common/kubernetes/curl_client.h"
#include "common/metrics.h"
#include "common/tls_files.h"
#include "directory/directory.h"
#include "xds/authentication/token_gate.h"
#include "xds/dashboard/access.h"
#include "xds/dashboard/api.h"
#include "xds/dashboard/events.h"
#include "xds/dashboard/history_pages.h"
#include "xds/dashboard/peers.h"
#include "xds/dashboard/replicas.h"
#include "xds/history/history.h"
#include "xds/policy_status/status_writer.h"
#include "xds/serving/resource_cache.h"
#include "xds/serving/server.h"
#include "xds/settings.h"
#include "xds/sidecars/sidecars.h"
#include "xds/sources/source.h"

namespace portolan::xds {

class ControlPlane {
 public:
  // `settings` outlives it.
  explicit ControlPlane(const Settings& settings);
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Opens the pages and starts reading. Sidecars are let in once everything was read, be it only in
  // Run. An error names what failed.
  absl::Status Start();

  // Until SIGTERM or SIGINT, or a fault.
  void Run();

  // Why it ended, where it was not asked to.
  const absl::Status& fault() const { return fault_; }

 private:
  absl::Status MakeSource();
  absl::Status MakeGate();
  absl::Status StartIdentity();
  absl::Status StartCorefile();
  absl::Status StartCorefiles();
  absl::Status StartServer();
  absl::Status StartHistory();
  absl::Status StartApi();
  absl::Status StartPeerApi();
  void FindReplicas();
  absl::Status StartStatusPages();

  EnforcementByPolicy EnforcementOfOurs() const;
  void CountEnforcement(const PolicyStatusWriter::Counted& done) const;
  void OnChange(absl::Time since);
  void OnCorefile(const std::string& name, const std::optional<std::string>& text);
  void Publish(const ResourceCache::Published& published);
  http::Response Readiness() const;
  void End();
  void HandOver();

  const Settings& settings_;
  EventLoop loop_;
  Directory directory_;
  ResourceCache cache_;
  std::unique_ptr<FollowedFile> corefile_;
  std::unique_ptr<FollowedFolder> corefiles_;
  std::unique_ptr<CurlClient> api_client_;
  std::unique_ptr<PolicyStatusWriter> policy_statuses_;  // null: nothing to write to
  std::unique_ptr<Source> source_;
  bool started_ = false;
  bool ending_ = false;
  size_t handed_over_at_once_;
  EventLoop::Timer drain_timer_;
  absl::Status fault_;
  std::unique_ptr<TokenGate> gate_;
  Sidecars sidecars_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<FollowedTlsIdentity> identity_;
  MetricsPage metrics_;
  std::unique_ptr<Replicas> replicas_;
  Peers* peers_ = nullptr;  // replicas_, where there are others
  std::unique_ptr<ReaderAccess> reader_access_;
  std::unique_ptr<PeerAccess> peer_access_;
  std::unique_ptr<http::Server> api_server_;
  std::unique_ptr<http::Server> peer_server_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<History> history_;
  std::unique_ptr<HistoryPages> history_pages_;
  std::unique_ptr<http::Server> status_server_;
};

}  // namespace portolan::xds
