// What is counted by name: connections to each Service port and to each endpoint.
//
// The data path counts into a ServiceCounters or EndpointCounters that only its worker writes to;
// the metrics page adds up those of all workers that have the same name. A lock is taken when a
// worker meets a name for the first time, and by the page; never for a connection to a known one.
//
// Bounded: once as many names are shown as may be (ServiceMetricsLimits), what is new counts under
// one name, "other". A name that no worker holds any more is shown for kLinger, so that its last
// numbers are scraped, and then forgotten.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "common/guarded.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "directory/directory.h"
#include "directory/model.h"
#include "proxy/forwarder/counters.h"
#include "proxy/forwarder/passed_through.h"

namespace portolan::proxy {

// A port of a Service, as it is dialled at the cluster IP.
struct ServicePortName {
  ObjectName service;
  uint16_t port = 0;  // 0: none that the Service has; not shown
  Protocol protocol = Protocol::kTcp;
  friend auto operator<=>(const ServicePortName&, const ServicePortName&) = default;
};

// What was dialled and is no address of a Service.
ServicePortName UnknownService(Protocol protocol);

struct EndpointName {
  ServicePortName service;
  SocketAddress address;
  ObjectName pod;  // empty: none
  friend auto operator<=>(const EndpointName&, const EndpointName&) = default;
};

// Of a Service port, in the forwarder's own words. Written by one worker.
struct ServiceCounters : ConnectionCounters {
  ServiceCounters();
  Histogram connect_seconds;  // from accepting to joining, retries included
};

// Of an endpoint. Written by one worker.
struct EndpointCounters {
  Counter connections;  // joined
  Counter connect_failed;
  Counter connect_timeout;
  Counter bytes_up;
  Counter bytes_down;
  Counter taken;  // chosen, and given back: what is under way is the difference
  Counter given_back;
  Counter ejected;  // and let back, or forgotten
  Counter readmitted;

  // Of one thread's own only.
  bool is_active() const { return taken.value() != given_back.value(); }
};

// The series of one kind, by name. Not thread-safe.
template <typename Name, typename Counters>
class SeriesByName {
 public:
  SeriesByName(size_t most, Name other) : most_(most), other_(std::move(other)) {}

  std::shared_ptr<Counters> Open(const Name& name, absl::Duration now);
  // Forgets those that nobody has held for kLinger.
  void Sweep(absl::Duration now);
  // visit(const Name&, const std::vector<std::shared_ptr<Counters>>&)
  template <typename F>
  void ForEach(F&& visit) const {
    for (const auto& [name, series] : series_) visit(name, series.counters);
  }

 private:
  struct Series {
    // Of each worker that holds it, and what those left behind that held it before.
    std::vector<std::shared_ptr<Counters>> counters;
    absl::Duration idle_since = absl::InfiniteDuration();
  };

  bool IsFull() const { return series_.size() - series_.count(other_) >= most_; }

  const size_t most_;
  const Name other_;
  absl::Duration swept_ = -absl::InfiniteDuration();
  std::map<Name, Series> series_;
};

// Names that are shown, at most. With so many a page of some 2 MB takes 20 ms.
struct ServiceMetricsLimits {
  size_t services = 500;  // Service ports
  size_t endpoints = 1000;
};

// Any thread.
class ServiceMetrics {
 public:
  static constexpr absl::Duration kLinger = absl::Minutes(10);

  explicit ServiceMetrics(ServiceMetricsLimits limits = {});

  // To count into, by one thread, as long as it is held. `now` is monotonic.
  std::shared_ptr<ServiceCounters> Open(const ServicePortName& name, absl::Duration now);
  std::shared_ptr<EndpointCounters> Open(const EndpointName& name, absl::Duration now);

  // What the Services were dialled for, ports and workers added up; by name, the one under which
  // the rest is counted as `other`. Only those that were dialled.
  struct Flows {
    std::map<ObjectName, FlowCounts> by_service;
    FlowCounts other;
  };
  Flows flows() const;

  // The families portolan_forwarder_service_* and portolan_forwarder_endpoint_*.
  void Collect(MetricFamilies& families, absl::Duration now);

 private:
  struct Shown {
    SeriesByName<ServicePortName, ServiceCounters> services;
    SeriesByName<EndpointName, EndpointCounters> endpoints;
  };
  Guarded<Shown> shown_;
};

// An endpoint that a worker has met.
struct CountedEndpoint {
  ObjectName pod;                              // empty: none
  std::shared_ptr<EndpointCounters> counters;  // null only before it is first used
};

// A Service port that a worker has met.
struct CountedService {
  ServicePortName name;
  std::shared_ptr<ServiceCounters> counters;  // never null
  // Endpoints that were dialled themselves, as those of headless Services are.
  absl::flat_hash_map<SocketAddress, std::unique_ptr<CountedEndpoint>> dialled;
};

// The Service ports that one worker has met. On its thread.
class ServiceTally {
 public:
  explicit ServiceTally(std::shared_ptr<ServiceMetrics> metrics) : metrics_(std::move(metrics)) {}

  // Valid until a Review that finds the Service gone and nothing active.
  CountedService& Of(const ObjectName& service, uint16_t port, Protocol protocol);
  CountedService& OfUnknown(Protocol protocol);
  // Valid until a Review that finds that nothing is known of the address and nothing active. When
  // the address changes hands its counters go over to the new pod's name once nothing is active.
  CountedEndpoint& Dialled(CountedService& service, const SocketAddress& address,
                           const ObjectName& pod);

  // Lets go of Services that are no longer in the directory, and of endpoints that were dialled and
  // are no longer asked for.
  void Review(const Snapshot& snapshot);

 private:
  // To find a name without making one.
  struct View {
    const ObjectName& service;
    uint16_t port;
    Protocol protocol;
  };
  using Known = std::unique_ptr<CountedService>;
  static View ViewOf(const View& view) { return view; }
  static View ViewOf(const Known& known) {
    return {known->name.service, known->name.port, known->name.protocol};
  }
  struct Hash {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& one) const {
      const View view = ViewOf(one);
      return absl::HashOf(view.service, view.port, view.protocol);
    }
  };
  struct Equal {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const View one = ViewOf(a), two = ViewOf(b);
      return one.port == two.port && one.protocol == two.protocol && one.service == two.service;
    }
  };

  const std::shared_ptr<ServiceMetrics> metrics_;
  absl::flat_hash_set<Known, Hash, Equal> services_;
};

}  // namespace portolan::proxy
