// The sidecar's two HTTP servers: the admin pages on loopback (15000) and what the rest of the
// pod's world asks for (15020): probes and metrics.
//
//   page                  15000  15020
//   GET  /ready             x      x    200 or 503; the body says why and how old the feed is
//   GET  /healthz           x      x    200 while the process serves
//   GET  /health            x      x    200, or 503 once a stop has begun: CoreDNS's health
//   GET  /metrics                  x    Prometheus text format
//   GET  /stats/prometheus  x           the same page
//   GET  /stats             x           the same numbers as "name{labels}: value"
//   GET  /config_dump       x           JSON; ?type=Service&continue=: not the dump, but which
//                                       resources of a type are held (xds/api/resource_page.h)
//   GET  /names             x           ?namespace= &search= &limit=; JSON as the API's
//   GET  /endpoints         x           as /names, with the slices of each. Where endpoints are
//                                       had on demand both say for each Service whether they are
//                                       held, asked for and awaited, or not held
//   GET  /connections       x           JSON, collected from the workers
//   GET  /explain           x           ?name= &type= &port= &clusterDns=true; JSON: what becomes
//                                       of a name (proxy/explain/explainer.h)
//   GET  /policy            x           JSON: policies in force, learned addresses and denials
//                                       (proxy/sidecar_policy.h)
//   GET  /policy_test       x           ?to= &port= &protocol=udp; JSON: whether policy lets the
//                                       application open that connection
//                                       (proxy/explain/policy_tester.h)
//   POST /logging?level=    x           debug, info, warn, error
//   POST /drain             x
//   POST /quitquitquit      x
//
// What changes state takes POST alone, and the loopback server refuses foreign Hosts and Origins,
// so that no web page open on the machine can do it. One thread: the main loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/http/server.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "directory/directory.h"

namespace portolan::proxy {

struct Readiness {
  bool ready = false;
  std::string body;  // lines; a last newline is added if there is none
};

// As the application would look it up.
struct ExplainRequest {
  std::string name;
  std::string type = {};          // empty: A
  uint16_t port = 0;              // at which an address outside of the cluster is dialled; 0: any
  bool with_cluster_dns = false;  // the pod's own nameservers are asked as well
};

// Whether the application could open a connection.
struct PolicyTestRequest {
  std::string to;  // a name, as the application would look it up, or an address
  uint16_t port = 0;
  std::string protocol = {};  // "TCP", "UDP", in any case; empty: TCP
};

// What the admin pages show and set in motion. Called on the main loop; must not block.
class AdminSource {
 public:
  virtual ~AdminSource() = default;
  virtual Readiness Ready() = 0;
  // False from the moment a stop has begun (CoreDNS's lameduck), while everything is still served.
  virtual bool Healthy() = 0;
  // Never null.
  virtual std::shared_ptr<const Snapshot> snapshot() = 0;
  // Whether the endpoints of a Service ("namespace/name") are asked for, held or not yet.
  virtual bool WantsEndpoints(const std::string& service_key) = 0;
  virtual nlohmann::json ConfigDump() = 0;
  // A page of the resources of a type ("Service") that are held, behind the name `after`. An error
  // names the types there are.
  virtual absl::StatusOr<nlohmann::json> HeldResources(const std::string& type,
                                                       const std::string& after) = 0;
  // These call `done` once, on the main loop, when the workers have answered.
  virtual void Policy(std::function<void(nlohmann::json)> done) = 0;
  virtual void Connections(std::function<void(nlohmann::json)> done) = 0;
  // What becomes of a name that the application looks up. Calls `done` once, on the main loop:
  // kInvalidArgument for what is no name or no record type, another error where it cannot be said.
  virtual void Explain(const ExplainRequest& request,
                       std::function<void(absl::StatusOr<nlohmann::json>)> done) = 0;
  // Whether policy lets the application open a connection (proxy/explain/policy_tester.h); as
  // Explain.
  virtual void TestPolicy(const PolicyTestRequest& request,
                          std::function<void(absl::StatusOr<nlohmann::json>)> done) = 0;
  virtual absl::Status SetLogLevel(std::string level) = 0;
  virtual void Drain() = 0;
  // Called after the answer to /quitquitquit was sent.
  virtual void Quit() = 0;
};

// Pages that are also served where the Corefile's `ready`, `health` and `prometheus` name an
// address.
http::Response ReadyPage(AdminSource& source);
http::Response HealthPage(AdminSource& source);
http::Response MetricsResponse(const MetricsPage& metrics);

// "held", "asked for" (and awaited), "not held".
std::string_view EndpointsState(AdminSource& source, const Service& service);

class Admin {
 public:
  struct Options {
    std::vector<SocketAddress> admin_listen;  // 127.0.0.1:15000 and [::1]:15000
    std::vector<SocketAddress> pod_listen;    // 0.0.0.0:15020 or [::]:15020
    std::string cluster_domain = "cluster.local";
  };

  // Both servers, or an error that names the address that cannot be had. `source` and `metrics`
  // must outlive it.
  static absl::StatusOr<std::unique_ptr<Admin>> Listen(EventLoop& loop, const Options& options,
                                                       AdminSource& source,
                                                       const MetricsPage& metrics);

  const std::vector<SocketAddress>& admin_addresses() const { return admin_->addresses(); }
  const std::vector<SocketAddress>& pod_addresses() const { return pod_->addresses(); }

  const std::string& cluster_domain() const { return cluster_domain_; }

  // The servers' own numbers, for a source of the metrics page. Any thread, while it lives.
  void AddMetrics(MetricFamilies& families) const;

 private:
  Admin(EventLoop& loop, AdminSource& source, const MetricsPage& metrics,
        std::string cluster_domain);

  void AddProbes(http::Server& server);
  void AddAdminPages(http::Server& server);
  void AddActions(http::Server& server);
  void Explain(const http::Request& request, http::Responder responder);
  void TestPolicy(const http::Request& request, http::Responder responder);
  http::Response ConfigDump(const http::Request& request);
  enum class Listing { kNames, kEndpoints };
  http::Response ListNames(const http::Request& request, Listing listing);

  EventLoop& loop_;
  AdminSource& source_;
  const MetricsPage& metrics_;
  const std::string cluster_domain_;
  std::unique_ptr<http::Server> admin_;
  std::unique_ptr<http::Server> pod_;
};

// "name{label="x"} 3" lines of the Prometheus text format as "name{label="x"}: 3"; comments
// dropped.
std::string PlainStats(std::string_view prometheus_text);

}  // namespace portolan::proxy
