// Carries questions to other DNS servers and their answers back: what `forward` stands on.
//
// One for each worker; every method on its loop but CollectMetrics. A question takes one of a fixed
// number of flights; the same question asked again meanwhile joins the flight (whatever transport
// or spelling its client used). Within a flight servers are asked in the set's order: the next one
// when one fails, after kHedgeDelay of silence, and again from the front with growing pauses, since
// datagrams get lost. The first good reply wins. A reply that was cut short is asked for again over
// TCP. After kDeadline, or when every server failed, the answer is SERVFAIL.
//
// Nothing is allocated for a question but what its sockets need.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "dns/exchange.h"
#include "dns/plugin.h"
#include "dns/upstream/attempt.h"
#include "dns/upstream/random.h"
#include "dns/upstream/server_set.h"

namespace portolan::dns::upstream {

struct UpstreamOptions {
  absl::Duration hedge_delay = absl::Milliseconds(300);
  absl::Duration deadline = absl::Seconds(5);
  // Questions under way at once; more are answered SERVFAIL.
  size_t max_flights = 1000;
  RandomSource random = KernelRandom;
};

class Upstream {
 public:
  explicit Upstream(EventLoop& loop, UpstreamOptions options = {});
  // Clients that still wait get no reply. REQUIRES: the listeners they belong to are still there.
  ~Upstream();
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  // Asks `servers`, which must outlive the flight. kPending, or kAnswered: SERVFAIL when all
  // flights or the listener's slots are taken or there is no server, REFUSED when the set's own
  // limit is reached (CoreDNS's max_concurrent).
  Verdict Ask(ServerSet& servers, Exchange& exchange);

  // The set is about to end: clients that still wait for its servers get no reply.
  void Forget(const ServerSet& servers);

  // Questions under way.
  size_t flights() const { return by_question_.size(); }

  void CollectMetrics(MetricFamilies& families) const;

 private:
  class Flight;

  // Which flight a question joins. The view is into the flight's own request.
  struct Key {
    const ServerSet* servers;
    std::string_view request;

    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine_contiguous(H::combine(std::move(h), key.servers), key.request.data(),
                                   key.request.size());
    }
  };

  struct Counters {
    Counter answered, timed_out, unreachable, no_servers, overloaded, limited;
    Counter merged, hedged, over_tcp, truncated;
  };

  bool HasFlight() const;
  Flight& TakeFlight();  // REQUIRES: HasFlight()
  void Release(Flight& flight);

  AttemptContext context_;
  const UpstreamOptions options_;
  Random random_;
  Counters counters_;
  std::vector<std::unique_ptr<Flight>> slab_;  // grows to max_flights and stays
  std::vector<Flight*> free_;
  absl::flat_hash_map<Key, Flight*> by_question_;
};

}  // namespace portolan::dns::upstream
