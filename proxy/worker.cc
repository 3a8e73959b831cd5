#include "proxy/worker.h"

#include <iterator>
#include <utility>

#include "common/monotonic.h"

namespace portolan::proxy {

absl::StatusOr<std::unique_ptr<Worker>> Worker::Open(const WorkerOptions& options, UdpSockets udp) {
  std::unique_ptr<Worker> worker(new Worker());
  if (options.search_walks != nullptr) {
    worker->asked_names_ = std::make_unique<AskedNames>(*options.search_walks, options.names);
    worker->asked_names_->SetSearch(options.pod_resolvers.search);
  }
  worker->denials_ = std::make_unique<Denials>(options.denial_log);
  worker->inbound_denials_ = std::make_unique<Denials>(options.denial_log);
  worker->egress_gate_ =
      std::make_unique<EgressGate>(options.egress_gate, *options.learned, *worker->denials_);
  worker->name_gate_ =
      std::make_unique<NameGate>(options.name_gate, *options.learned, *worker->denials_);
  worker->name_gate_->SetSearch(options.pod_resolvers.search);
  worker->egress_gate_->SetSearch(options.pod_resolvers.search);
  auto server = dns::Server::Start(worker->loop_, {.listen = options.dns_listen,
                                                   .tcp = {.connections = options.dns_connections},
                                                   .observer = worker->asked_names_.get(),
                                                   .gate = worker->name_gate_.get()});
  if (!server.ok()) return server.status();
  worker->dns_ = *std::move(server);
  ForwarderOptions forwarder_options = options.forwarder;
  forwarder_options.gate = worker->egress_gate_.get();
  auto forwarder = Forwarder::Start(worker->loop_, std::move(forwarder_options));
  if (!forwarder.ok()) return forwarder.status();
  worker->forwarder_ = *std::move(forwarder);
  worker->forward_addresses_ = worker->forwarder_->addresses();
  if (!udp.listeners.empty()) {
    worker->udp_ = std::make_unique<UdpForwarder>(worker->loop_, std::move(udp), options.udp,
                                                  worker->forwarder_->parts());
  }
  if (auto status = worker->OpenInbound(options); !status.ok()) return status;
  worker->options_ = options;
  worker->on_demand_ = std::make_unique<OnDemandWaits>(
      worker->loop_, worker->cluster_data_,
      OnDemandWaits::FeedCalls{.want_address = options.want_address,
                               .want_endpoints = options.want_endpoints,
                               .prefetch_endpoints = options.prefetch_endpoints});
  worker->upstream_ = std::make_unique<dns::upstream::Upstream>(worker->loop_);
  return worker;
}

absl::Status Worker::OpenInbound(const WorkerOptions& options) {
  ingress_gate_ = std::make_unique<IngressGate>(options.ingress_gate, *inbound_denials_);
  if (options.inbound.listen.empty()) return absl::OkStatus();
  ForwarderOptions inbound_options = options.inbound;
  inbound_options.direction = ForwarderOptions::Direction::kInbound;
  inbound_options.original_destination = LocalAddress;
  inbound_options.ingress_gate = ingress_gate_.get();
  auto inbound = Forwarder::Start(loop_, std::move(inbound_options));
  if (!inbound.ok()) return inbound.status();
  inbound_ = *std::move(inbound);
  inbound_addresses_ = inbound_->addresses();
  return absl::OkStatus();
}

Worker::~Worker() {
  if (!thread_.joinable()) return;
  loop_.Stop();
  thread_.join();
}

void Worker::Run() {
  thread_ = std::thread([this] { loop_.Run(); });
}

void Worker::SetClusterData(std::shared_ptr<const dns::ClusterData> data) {
  loop_.Post([this, data = std::move(data)]() mutable {
    cluster_data_.Replace(std::move(data));
    on_demand_->OnClusterData();
  });
}

void Worker::SetFeedAnswering(bool answering) {
  loop_.Post([this, answering] {
    on_demand_->SetAnswering(answering);
    forwarder_->SetFeedAnswering(answering);
    if (udp_ != nullptr) udp_->SetFeedAnswering(answering);
  });
}

void Worker::SetPrefetching(bool prefetching) {
  loop_.Post([this, prefetching] { on_demand_->SetPrefetching(prefetching); });
}

void Worker::SetRoutes(std::shared_ptr<const RouteTable> routes) {
  loop_.Post([this, routes = std::move(routes)]() mutable {
    if (udp_ != nullptr) udp_->SetRoutes(routes);
    forwarder_->SetRoutes(std::move(routes));
  });
}

void Worker::SetEgressRules(std::shared_ptr<const EgressRules> rules, std::function<void()> taken) {
  loop_.Post([this, rules = std::move(rules), taken = std::move(taken)]() mutable {
    denials_->SetRules(rules);
    name_gate_->SetNextRules(rules);
    egress_gate_->SetRules(std::move(rules));
    forwarder_->ReviewDenied();
    if (udp_ != nullptr) udp_->ReviewDenied();
    taken();
  });
}

void Worker::SetNameRules(std::shared_ptr<const EgressRules> rules,
                          const ResolverVerdicts& resolvers) {
  loop_.Post([this, rules = std::move(rules), resolvers]() mutable {
    name_gate_->SetRules(std::move(rules));
    name_gate_->SetResolvers({.udp = resolvers.udp, .tcp = resolvers.tcp});
  });
}

void Worker::SetIngressRules(std::shared_ptr<const EgressRules> rules) {
  loop_.Post([this, rules = std::move(rules)]() mutable {
    inbound_denials_->SetRules(rules);
    ingress_gate_->SetRules(std::move(rules));
    if (inbound_ != nullptr) inbound_->ReviewDenied();
  });
}

void Worker::SetResolverVerdicts(const ResolverVerdicts& resolvers) {
  loop_.Post([this, resolvers] {
    name_gate_->SetResolvers({.udp = resolvers.udp, .tcp = resolvers.tcp});
  });
}

void Worker::SetPodResolvers(ResolvConf resolvers) {
  loop_.Post([this, resolvers = std::move(resolvers)]() mutable {
    options_.pod_resolvers = std::move(resolvers);
    name_gate_->SetSearch(options_.pod_resolvers.search);
    egress_gate_->SetSearch(options_.pod_resolvers.search);
    if (asked_names_ != nullptr) asked_names_->SetSearch(options_.pod_resolvers.search);
  });
}

void Worker::SetDialledInstead(dns::DialledInstead dialled_instead) {
  loop_.Post([this, dialled_instead = std::move(dialled_instead)]() mutable {
    options_.dialled_instead = std::move(dialled_instead);
  });
}

void Worker::SetConfig(std::shared_ptr<const dns::Config> config) {
  loop_.Post([this, config = std::move(config)] { UseConfig(*config); });
}

void Worker::UseConfig(const dns::Config& config) {
  std::unique_ptr<dns::Chains> chains =
      config.Instantiate({.loop = loop_,
                          .cluster = cluster_data_,
                          .upstream = *upstream_,
                          .pod_resolvers = options_.pod_resolvers.nameservers,
                          .dialled_instead = options_.dialled_instead,
                          .search = options_.pod_resolvers.search,
                          .pod_namespace = options_.pod_namespace,
                          .worker = options_.worker,
                          .workers = options_.workers,
                          .on_demand = on_demand_.get(),
                          .used_services = options_.used_services,
                          .cache_stores = &cache_stores_});
  name_gate_->SetClusterZones(config.cluster_zones());
  dns_->SetChains(chains->zones());
  // The old ones go outside the lock, and on this thread.
  chains_.With([&](auto& current) { std::swap(current, chains); });
}

void Worker::ListConnections(size_t max, std::function<void(std::vector<ConnectionInfo>)> take) {
  loop_.Post([this, max, take = std::move(take)] {
    std::vector<ConnectionInfo> all = forwarder_->Connections(max);
    const auto append = [&](std::vector<ConnectionInfo> more) {
      all.insert(all.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
    };
    if (inbound_ != nullptr) append(inbound_->Connections(max));
    if (udp_ != nullptr) append(udp_->Flows(max));
    take(std::move(all));
  });
}

void Worker::Explain(std::vector<uint8_t> message, const SocketAddress& client,
                     dns::ExplainedQuestions::Done take) {
  loop_.Post([this, message = std::move(message), client, take = std::move(take)]() mutable {
    dns_->Explain(message, client, std::move(take));
  });
}

void Worker::DescribeEndpoints(std::vector<std::shared_ptr<const Route>> routes,
                               std::function<void(EndpointStates)> take) {
  loop_.Post([this, routes = std::move(routes), take = std::move(take)] {
    EndpointStates states;
    const Balancer& balancer = forwarder_->parts().balancer;
    const absl::Duration now = Monotonic();
    for (const auto& route : routes) states.push_back(balancer.Describe(*route, now));
    take(std::move(states));
  });
}

void Worker::CountWaiting(std::function<void(size_t)> take) {
  loop_.Post([this, take = std::move(take)] { take(dns_->suspended()); });
}

void Worker::Report(std::function<void(WorkerReport)> take) {
  loop_.Post([this, take = std::move(take)] {
    WorkerReport report;
    if (asked_names_ != nullptr) report.asked = asked_names_->TakeView();
    report.passed_through = forwarder_->TakePassedThrough();
    if (udp_ != nullptr) udp_->AddPassedThrough(report.passed_through);
    report.denials = TakeLatestDenials();
    take(std::move(report));
  });
}

Worker::LatestDenials Worker::TakeLatestDenials() {
  LatestDenials latest = denials_->TakeLatest();
  LatestDenials inbound = inbound_denials_->TakeLatest();
  latest.insert(latest.end(), std::make_move_iterator(inbound.begin()),
                std::make_move_iterator(inbound.end()));
  return latest;
}

void Worker::TakeDenials(std::function<void(LatestDenials)> take) {
  loop_.Post([this, take = std::move(take)] { take(TakeLatestDenials()); });
}

void Worker::CollectMetrics(MetricFamilies& families) const {
  dns_->CollectMetrics(families);
  upstream_->CollectMetrics(families);
  on_demand_->CollectMetrics(families);
  denials_->counters().Collect(families);
  inbound_denials_->counters().Collect(families);
  egress_gate_->Collect(families);
  ingress_gate_->Collect(families);
  name_gate_->Collect(families);
  chains_.With([&](const auto& chains) {
    if (chains != nullptr) chains->CollectMetrics(families);
  });
}

}  // namespace portolan::proxy
