// One worker of the sidecar: a thread, its event loop, and its share of the DNS and forwarder
// sockets.
//
// All workers listen on the same addresses (SO_REUSEPORT) and share nothing: what they answer from
// is immutable and posted to their loops. Every method is called on the main thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "common/resolv_conf.h"
#include "common/use_filter.h"
#include "directory/service_key.h"
#include "dns/cluster_data.h"
#include "dns/config.h"
#include "dns/plugins/cache_stores.h"
#include "dns/server/server.h"
#include "dns/upstream/upstream.h"
#include "proxy/forwarder/forwarder.h"
#include "proxy/forwarder/udp_forwarder.h"
#include "proxy/forwarder/udp_sockets.h"
#include "proxy/on_demand.h"
#include "proxy/policy/denials.h"
#include "proxy/policy/egress_gate.h"
#include "proxy/policy/ingress_gate.h"
#include "proxy/policy/name_gate.h"
#include "proxy/reporting/worker_report.h"
#include "proxy/resolver_verdicts.h"

namespace portolan::proxy {

struct WorkerOptions {
  std::vector<SocketAddress> dns_listen;
  // DNS over TCP, on each address.
  size_t dns_connections = 256;
  ResolvConf pod_resolvers;
  dns::DialledInstead dialled_instead;
  // Of --node.
  std::string pod_namespace;
  // Which of how many workers this is.
  size_t worker = 0;
  size_t workers = 1;
  ForwarderOptions forwarder;
  UdpForwarderOptions udp;
  // Of what comes to the pod; listens nowhere: it is not carried. `ingress_gate` is the worker's
  // own.
  ForwarderOptions inbound;
  // Have the feed bring who has an address, and the endpoints of a Service, or fetch the latter
  // ahead (Feed::PrefetchEndpoints); called on the worker's thread. Of endpoints, null where those
  // of all Services are held.
  std::function<void(const IpAddress&)> want_address;
  std::function<void(const ServiceKey&)> want_endpoints;
  std::function<void(const ServiceKey&)> prefetch_endpoints;
  // What is counted for reports; null: nothing is.
  SearchWalks* search_walks = nullptr;
  AskedNames::Names names = AskedNames::Names::kCounted;
  // Where Services that are used are marked; null where the endpoints of all are held.
  UseFilter* used_services = nullptr;
  // Of all workers; outlives them. `forwarder.gate` is the worker's own.
  LearnedAddresses* learned = nullptr;
  EgressGate::Options egress_gate = {};
  IngressGate::Options ingress_gate = {};
  NameGate::Options name_gate = {};
  DenialLog* denial_log = nullptr;  // null: no denial is logged
};

class Worker {
 public:
  // Listens, but answers nothing before Run. An error names the address. Without listeners in `udp`
  // no UDP is forwarded.
  static absl::StatusOr<std::unique_ptr<Worker>> Open(const WorkerOptions& options, UdpSockets udp);
  // Stops the thread; open connections are reset.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Run();
  bool is_running() const { return thread_.joinable(); }

  // In force for what comes after, within the time the loop takes to turn.
  void SetClusterData(std::shared_ptr<const dns::ClusterData> data);
  void SetFeedAnswering(bool answering);
  // Whether endpoints are fetched ahead.
  void SetPrefetching(bool prefetching);
  void SetRoutes(std::shared_ptr<const RouteTable> routes);
  // For connections and flows. Names are learned by them too from then on: else what this worker
  // answers before SetNameRules could not be reached. `taken` is called on the worker's thread when
  // they are in force.
  void SetEgressRules(std::shared_ptr<const EgressRules> rules, std::function<void()> taken);
  // For names, whose answers lead to connections on any worker: to be called when all of them have
  // the rules for connections. `resolvers`: what these rules say of the pod's.
  void SetNameRules(std::shared_ptr<const EgressRules> rules, const ResolverVerdicts& resolvers);
  // Of who may connect to the pod.
  void SetIngressRules(std::shared_ptr<const EgressRules> rules);
  void SetResolverVerdicts(const ResolverVerdicts& resolvers);
  // For configurations that are set from then on.
  void SetPodResolvers(ResolvConf resolvers);
  void SetDialledInstead(dns::DialledInstead dialled_instead);
  // Queries under way end by the configuration they began with.
  void SetConfig(std::shared_ptr<const dns::Config> config);

  // Calls `take` on the worker's thread with at most `max` connections, as many that came to
  // the pod, and as many UDP flows.
  void ListConnections(size_t max, std::function<void(std::vector<ConnectionInfo>)> take);

  // Asks a DNS question as if `client` had sent it, and calls `take` on the worker's thread with
  // the reply, empty where there is none, and how it came about.
  void Explain(std::vector<uint8_t> message, const SocketAddress& client,
               dns::ExplainedQuestions::Done take);

  // Calls `take` on the worker's thread with what it knows of the endpoints of each route.
  using EndpointStates = std::vector<std::vector<Balancer::EndpointState>>;
  void DescribeEndpoints(std::vector<std::shared_ptr<const Route>> routes,
                         std::function<void(EndpointStates)> take);

  // Calls `take` on the worker's thread with the number of queries that wait for an answer.
  void CountWaiting(std::function<void(size_t)> take);

  // Calls `take` on the worker's thread with what it has to report.
  void Report(std::function<void(WorkerReport)> take);

  // Calls `take` on the worker's thread with the latest of what was denied.
  using LatestDenials = std::vector<DenialTable::Kind>;
  void TakeDenials(std::function<void(LatestDenials)> take);

  // Connections that are open.
  size_t active() const {
    return forwarder_->counters()->active() +
           (inbound_ == nullptr ? 0 : inbound_->counters()->active());
  }

  // The addresses with the ports that port 0 became.
  const std::vector<SocketAddress>& dns_addresses() const { return dns_->addresses(); }
  const std::vector<SocketAddress>& forward_addresses() const { return forward_addresses_; }

  const std::vector<SocketAddress>& inbound_addresses() const { return inbound_addresses_; }

  // Any thread, while the worker lives.
  void CollectMetrics(MetricFamilies& families) const;
  std::shared_ptr<const ForwarderCounters> forwarder_counters() const {
    return forwarder_->counters();
  }
  // Null if what comes to the pod is not carried.
  std::shared_ptr<const ForwarderCounters> inbound_counters() const {
    return inbound_ == nullptr ? nullptr : inbound_->counters();
  }
  const DenialCounters& denials() const { return denials_->counters(); }
  const DenialCounters& inbound_denials() const { return inbound_denials_->counters(); }
  // Null if no UDP is forwarded.
  std::shared_ptr<const UdpCounters> udp_counters() const {
    return udp_ == nullptr ? nullptr : udp_->counters();
  }

 private:
  LatestDenials TakeLatestDenials();
  Worker() = default;

  absl::Status OpenInbound(const WorkerOptions& options);
  void UseConfig(const dns::Config& config);

  // In the order in which they may be taken apart, the last first: chains, the server whose queries
  // hold on to links, then what the links use.
  EventLoop loop_;
  WorkerOptions options_;
  dns::ClusterDataHolder cluster_data_;
  dns::CacheStores cache_stores_;
  std::unique_ptr<Denials> denials_;
  std::unique_ptr<Denials> inbound_denials_;
  std::unique_ptr<EgressGate> egress_gate_;
  std::unique_ptr<NameGate> name_gate_;
  std::unique_ptr<IngressGate> ingress_gate_;
  std::unique_ptr<OnDemandWaits> on_demand_;
  std::unique_ptr<dns::upstream::Upstream> upstream_;
  std::unique_ptr<AskedNames> asked_names_;  // null: they are not counted
  std::unique_ptr<dns::Server> dns_;
  // Those in force. Written on the worker's thread, read by the metrics page.
  Guarded<std::unique_ptr<dns::Chains>> chains_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<UdpForwarder> udp_;   // uses the forwarder's balancer
  std::unique_ptr<Forwarder> inbound_;  // null: what comes to the pod is not carried
  std::vector<SocketAddress> forward_addresses_;
  std::vector<SocketAddress> inbound_addresses_;
  std::thread thread_;
};

}  // namespace portolan::proxy
