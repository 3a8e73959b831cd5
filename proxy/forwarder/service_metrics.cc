#include "proxy/forwarder/service_metrics.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/monotonic.h"

namespace portolan::proxy {
namespace {

constexpr char kUnknown[] = "unknown";
constexpr char kOther[] = "other";
// Inside a cluster an endpoint answers within a fraction of a millisecond.
constexpr double kConnectBounds[] = {0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1};
// When all names are taken, those that may be forgotten are looked for no more often.
constexpr absl::Duration kSweepEvery = absl::Minutes(1);

using Label = prometheus::ClientMetric::Label;
using LabelList = std::vector<Label>;

template <typename Counters>
using Named = std::pair<LabelList, std::unique_ptr<Counters>>;

LabelList LabelsOf(const ServicePortName& name) {
  return {{"service_namespace", name.service.ns},
          {"service", name.service.name},
          {"port", name.port == 0 ? std::string() : std::to_string(name.port)},
          {"protocol", name.protocol == Protocol::kUdp ? "udp" : "tcp"}};
}

LabelList LabelsOf(const EndpointName& name) {
  LabelList labels = LabelsOf(name.service);
  const bool has_address = name.address.port != 0;
  labels.push_back({"endpoint", has_address ? name.address.ToString() : std::string()});
  labels.push_back({"pod", name.pod.name.empty() ? std::string() : name.pod.ToString()});
  return labels;
}

void Add(const ServiceCounters& from, ServiceCounters& to) {
  from.AddTo(to);
  to.connect_seconds.Add(from.connect_seconds);
}

// What went down is read first: a worker that counts meanwhile makes no difference negative.
constexpr Counter EndpointCounters::*kEndpointFields[] = {
    &EndpointCounters::given_back,      &EndpointCounters::taken,
    &EndpointCounters::readmitted,      &EndpointCounters::ejected,
    &EndpointCounters::connections,     &EndpointCounters::connect_failed,
    &EndpointCounters::connect_timeout, &EndpointCounters::bytes_up,
    &EndpointCounters::bytes_down};

void Add(const EndpointCounters& from, EndpointCounters& to) {
  for (const auto field : kEndpointFields) (to.*field).Add((from.*field).value());
}

// One family in the making. Unlike AddCounterSample it looks for no sample with the same labels:
// names are different here, and thousands.
class Family {
 public:
  Family(MetricFamilies& families, std::string name, std::string help, prometheus::MetricType type)
      : families_(families), family_{std::move(name), std::move(help), type, {}} {}
  ~Family() {
    if (!family_.metric.empty()) families_.push_back(std::move(family_));
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  void Add(const LabelList& labels, double value) {
    prometheus::ClientMetric& metric = AddMetric(labels);
    if (family_.type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  void Add(const LabelList& labels, std::string_view name, std::string_view word, double value) {
    LabelList more = labels;
    more.push_back({std::string(name), std::string(word)});
    Add(more, value);
  }
  void Add(const LabelList& labels, const Histogram& histogram) {
    AddTo(AddMetric(labels).histogram, histogram);
  }

 private:
  prometheus::ClientMetric& AddMetric(const LabelList& labels) {
    prometheus::ClientMetric& metric = family_.metric.emplace_back();
    metric.label = labels;
    return metric;
  }

  MetricFamilies& families_;
  prometheus::MetricFamily family_;
};

double ToDouble(const Counter& counter) { return static_cast<double>(counter.value()); }
double Difference(const Counter& more, const Counter& less) {
  return ToDouble(more) - ToDouble(less);
}

void ShowServices(MetricFamilies& families, const std::vector<Named<ServiceCounters>>& services) {
  using Type = prometheus::MetricType;
  Family outcomes(families, "portolan_forwarder_service_connections_total",
                  "Connections to a Service port by what became of them; those that occurred.",
                  Type::Counter);
  Family ends(families, "portolan_forwarder_service_ended_total",
              "Joined connections to a Service port by how they ended; those that occurred.",
              Type::Counter);
  Family retries(families, "portolan_forwarder_service_connect_retries_total",
                 "Attempts to connect to a further endpoint after one failed.", Type::Counter);
  Family bytes(families, "portolan_forwarder_service_bytes_total",
               "Bytes carried; up is from client to endpoint.", Type::Counter);
  Family active(families, "portolan_forwarder_service_active_connections",
                "Connections being connected or joined.", Type::Gauge);
  Family connect(families, "portolan_forwarder_service_connect_seconds",
                 "From accepting a connection to joining it to an endpoint.", Type::Histogram);
  for (const auto& [labels, counters] : services) {
    for (const auto& [word, field] : ConnectionOutcomes()) {
      const Counter& count = (*counters).*field;
      if (count.value() > 0) outcomes.Add(labels, "outcome", word, ToDouble(count));
    }
    for (const auto& [word, field] : ConnectionEnds()) {
      const Counter& count = (*counters).*field;
      if (count.value() > 0) ends.Add(labels, "how", word, ToDouble(count));
    }
    retries.Add(labels, ToDouble(counters->retried));
    bytes.Add(labels, "direction", "up", ToDouble(counters->bytes_up));
    bytes.Add(labels, "direction", "down", ToDouble(counters->bytes_down));
    active.Add(labels, static_cast<double>(counters->active()));
    connect.Add(labels, counters->connect_seconds);
  }
}

void ShowEndpoints(MetricFamilies& families,
                   const std::vector<Named<EndpointCounters>>& endpoints) {
  using Type = prometheus::MetricType;
  Family connections(families, "portolan_forwarder_endpoint_connections_total",
                     "Connections joined to an endpoint.", Type::Counter);
  Family failures(families, "portolan_forwarder_endpoint_connect_failures_total",
                  "Attempts to connect to an endpoint that failed; those that occurred.",
                  Type::Counter);
  Family bytes(families, "portolan_forwarder_endpoint_bytes_total",
               "Bytes carried; up is from client to endpoint.", Type::Counter);
  Family active(families, "portolan_forwarder_endpoint_active_connections",
                "Connections being connected or joined to an endpoint.", Type::Gauge);
  Family ejected(families, "portolan_forwarder_endpoint_ejected",
                 "Workers that pass the endpoint over, as it kept failing; if one ever did.",
                 Type::Gauge);
  for (const auto& [labels, counters] : endpoints) {
    connections.Add(labels, ToDouble(counters->connections));
    const auto add_failure = [&, &labelled = labels](const char* reason, const Counter& count) {
      if (count.value() > 0) failures.Add(labelled, "reason", reason, ToDouble(count));
    };
    add_failure("connect_failed", counters->connect_failed);
    add_failure("connect_timeout", counters->connect_timeout);
    bytes.Add(labels, "direction", "up", ToDouble(counters->bytes_up));
    bytes.Add(labels, "direction", "down", ToDouble(counters->bytes_down));
    active.Add(labels, Difference(counters->taken, counters->given_back));
    if (counters->ejected.value() > 0) {
      ejected.Add(labels, Difference(counters->ejected, counters->readmitted));
    }
  }
}

// The workers added up, to be shown when the lock is given back.
template <typename Name, typename Counters>
std::vector<Named<Counters>> SumsOf(const SeriesByName<Name, Counters>& series) {
  std::vector<Named<Counters>> sums;
  series.ForEach([&](const Name& name, const auto& workers) {
    auto sum = std::make_unique<Counters>();
    for (const auto& counters : workers) Add(*counters, *sum);
    sums.emplace_back(LabelsOf(name), std::move(sum));
  });
  return sums;
}

FlowCounts FlowOf(const ServicePortName& name, const ServiceCounters& counters) {
  const uint64_t joined = counters.forwarded.value() + counters.passed_through.value();
  FlowCounts flow;
  (name.protocol == Protocol::kUdp ? flow.udp_flows : flow.connections) = joined;
  for (const auto& [word, event] : ConnectionOutcomes()) {
    const bool is_joined =
        event == &ConnectionCounters::forwarded || event == &ConnectionCounters::passed_through;
    if (!is_joined) flow.failures += (counters.*event).value();
  }
  flow.bytes_up = counters.bytes_up.value();
  flow.bytes_down = counters.bytes_down.value();
  return flow;
}

// Held by nobody but us.
template <typename Counters>
bool IsFree(const std::shared_ptr<Counters>& counters) {
  if (counters.use_count() > 1) return false;
  // use_count orders nothing, but letting go of a copy does (it acquires what the last holder
  // released): what was counted is seen from here on. Not a fence, which ThreadSanitizer refuses.
  std::shared_ptr<Counters>(counters).reset();
  return true;
}

}  // namespace

ServicePortName UnknownService(Protocol protocol) { return {{"", kUnknown}, 0, protocol}; }

ServiceCounters::ServiceCounters() : connect_seconds(kConnectBounds) {}

template <typename Name, typename Counters>
std::shared_ptr<Counters> SeriesByName<Name, Counters>::Open(const Name& name, absl::Duration now) {
  auto found = series_.find(name);
  if (found == series_.end()) {
    if (IsFull() && now - swept_ >= kSweepEvery) Sweep(now);
    found = series_.try_emplace(IsFull() ? other_ : name).first;
  }
  Series& series = found->second;
  series.idle_since = absl::InfiniteDuration();
  for (const auto& counters : series.counters) {
    if (IsFree(counters)) return counters;
  }
  return series.counters.emplace_back(std::make_shared<Counters>());
}

template <typename Name, typename Counters>
void SeriesByName<Name, Counters>::Sweep(absl::Duration now) {
  swept_ = now;
  for (auto at = series_.begin(); at != series_.end();) {
    Series& series = at->second;
    const bool idle = std::all_of(series.counters.begin(), series.counters.end(), IsFree<Counters>);
    series.idle_since = idle ? std::min(series.idle_since, now) : absl::InfiniteDuration();
    const bool forget = now - series.idle_since >= ServiceMetrics::kLinger;
    at = forget ? series_.erase(at) : std::next(at);
  }
}

ServiceMetrics::ServiceMetrics(ServiceMetricsLimits limits)
    : shown_({{limits.services, {{"", kOther}, 0, Protocol::kTcp}},
              {limits.endpoints, {{{"", kOther}, 0, Protocol::kTcp}, {}, {}}}}) {}

std::shared_ptr<ServiceCounters> ServiceMetrics::Open(const ServicePortName& name,
                                                      absl::Duration now) {
  return shown_.With([&](Shown& shown) { return shown.services.Open(name, now); });
}

std::shared_ptr<EndpointCounters> ServiceMetrics::Open(const EndpointName& name,
                                                       absl::Duration now) {
  return shown_.With([&](Shown& shown) { return shown.endpoints.Open(name, now); });
}

ServiceMetrics::Flows ServiceMetrics::flows() const {
  Flows flows;
  shown_.With([&](const Shown& shown) {
    shown.services.ForEach([&](const ServicePortName& name, const auto& workers) {
      FlowCounts flow;
      for (const auto& counters : workers) flow.Add(FlowOf(name, *counters));
      // What is no Service's is counted by address (passed_through.h).
      if (flow.times() == 0 || name.service == UnknownService(name.protocol).service) return;
      (name.service.ns.empty() ? flows.other : flows.by_service[name.service]).Add(flow);
    });
  });
  return flows;
}

void ServiceMetrics::Collect(MetricFamilies& families, absl::Duration now) {
  std::vector<Named<ServiceCounters>> services;
  std::vector<Named<EndpointCounters>> endpoints;
  shown_.With([&](Shown& shown) {
    shown.services.Sweep(now);
    shown.endpoints.Sweep(now);
    services = SumsOf(shown.services);
    endpoints = SumsOf(shown.endpoints);
  });
  ShowServices(families, services);
  ShowEndpoints(families, endpoints);
}

CountedService& ServiceTally::Of(const ObjectName& service, uint16_t port, Protocol protocol) {
  const auto found = services_.find(View{service, port, protocol});
  if (found != services_.end()) return **found;
  const ServicePortName name{service, port, protocol};
  auto counted = std::make_unique<CountedService>();
  counted->name = name;
  counted->counters = metrics_->Open(name, Monotonic());
  return **services_.insert(std::move(counted)).first;
}

CountedService& ServiceTally::OfUnknown(Protocol protocol) {
  static const ObjectName kName = UnknownService(Protocol::kTcp).service;
  return Of(kName, 0, protocol);
}

CountedEndpoint& ServiceTally::Dialled(CountedService& service, const SocketAddress& address,
                                       const ObjectName& pod) {
  auto& known = service.dialled[address];
  const bool changed_hands = known != nullptr && known->pod != pod && !known->counters->is_active();
  if (known == nullptr || changed_hands) {
    known = std::make_unique<CountedEndpoint>();
    known->pod = pod;
    known->counters = metrics_->Open({service.name, address, pod}, Monotonic());
  }
  return *known;
}

void ServiceTally::Review(const Snapshot& snapshot) {
  absl::erase_if(services_, [&](const Known& known) {
    absl::erase_if(known->dialled, [&](const auto& endpoint) {
      return snapshot.FindAddress(endpoint.first.ip) == nullptr &&
             !endpoint.second->counters->is_active();
    });
    const ObjectName& service = known->name.service;
    const bool gone =
        !service.ns.empty() && snapshot.FindService(service.ns, service.name) == nullptr;
    return gone && known->counters->active() == 0;
  });
}

}  // namespace portolan::proxy
