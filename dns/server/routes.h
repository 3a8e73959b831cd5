// Which chain answers a name, and the counters of each zone.
//
// A Routes is made once for each configuration and worker and then only read; it lives as long as a
// query that was routed by it waits for an upstream.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/guarded.h"
#include "common/metrics.h"
#include "dns/coredns_buckets.h"
#include "dns/exchange.h"
#include "dns/plugin.h"
#include "dns/server/query_gate.h"
#include "dns/server/reply_observer.h"
#include "dns/wire/name.h"

namespace portolan::dns {

// One zone of a server block. Several zones of a block share its chain.
struct ZoneChain {
  wire::Zone zone;
  std::shared_ptr<const Chain> chain;
  std::string server = "dns://:53";  // CoreDNS's label: the address written in the Corefile
};

// What CoreDNS counts for a zone (https://coredns.io/plugins/metrics/).
class ZoneCounters {
 public:
  static constexpr size_t kTypes = 16;  // "other" last
  static constexpr size_t kRcodes = 7;  // NOERROR to REFUSED, "other" last
  using ByRcode = std::array<Counter, kRcodes>;

  ZoneCounters(std::string server, std::string zone)
      : server_(std::move(server)), zone_(std::move(zone)) {}

  const std::string& server() const { return server_; }
  const std::string& zone() const { return zone_; }

  void CountRequest(Transport transport, IpFamily family, const wire::Query& query);

  // The counters of the replies that `plugin` made; "" for those of the server itself. Makes them
  // on first use: control path.
  ByRcode& Responses(std::string_view plugin);

  void ObserveReply(Transport transport, size_t bytes) {
    reply_bytes_[static_cast<size_t>(transport)].Observe(static_cast<double>(bytes));
  }
  // Of so many replies; each must be counted once.
  void ObserveDuration(std::chrono::steady_clock::duration took, uint64_t replies = 1) {
    seconds_.Observe(std::chrono::duration<double>(took).count(), replies);
  }

  void Collect(MetricFamilies& families) const;  // any thread

 private:
  struct OfPlugin {
    std::string plugin;
    ByRcode by_rcode;
  };

  const std::string server_;
  const std::string zone_;
  std::array<std::array<std::array<Counter, kTypes>, 2>, 2> requests_;
  Counter dnssec_ok_;
  // By transport.
  std::array<Histogram, 2> request_bytes_{Histogram(kSizeBuckets), Histogram(kSizeBuckets)};
  std::array<Histogram, 2> reply_bytes_{Histogram(kSizeBuckets), Histogram(kSizeBuckets)};
  Histogram seconds_{kTimeBuckets};
  Guarded<std::vector<std::unique_ptr<OfPlugin>>> responses_;
};

struct Route {
  ZoneChain to;
  ZoneCounters* counters = nullptr;
  ReplyObserver* observer = nullptr;
  // Index: Exchange::depth(). The first is for replies that no link made.
  std::vector<ZoneCounters::ByRcode*> responses;

  // All but how long it took; the observer is told.
  void CountReply(Exchange& exchange) const;
};

// The counters of all zones a worker ever had: they outlive a change of the configuration, so that
// they never go back.
class ZoneCounterTable {
 public:
  ZoneCounters& Of(const ZoneChain& zone);       // control path, the worker's thread
  void Collect(MetricFamilies& families) const;  // any thread

 private:
  Guarded<std::vector<std::unique_ptr<ZoneCounters>>> zones_;
};

class Routes {
 public:
  // Told of the replies; either may be null, and outlives it.
  struct Told {
    ReplyObserver* observer = nullptr;
    QueryGate* gate = nullptr;
  };
  Routes(std::vector<ZoneChain> zones, ZoneCounterTable& counters, const Told& told);

  // The longest zone that holds the name, as in CoreDNS; null if none does.
  const Route* Find(const wire::Query& query) const {
    for (const Route& route : routes_) {
      if (route.to.zone.Holds(query)) return &route;
    }
    return nullptr;
  }

  const std::vector<Route>& all() const { return routes_; }

  // The reply to a client's question, as `route`'s chain made it, before it is sent.
  void Tell(const Route& route, Exchange& exchange) const {
    if (gate_ != nullptr) gate_->OnReply(exchange);
    route.CountReply(exchange);
  }

 private:
  std::vector<Route> routes_;  // most labels first
  QueryGate* const gate_;
};

}  // namespace portolan::dns
