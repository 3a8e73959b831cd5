// Carries questions to other DNS servers and their answers back: what `forward` stands on.
//
// One for each worker; every method on its loop but CollectMetrics. A question takes one of a fixed
// number of flights; the same question asked again meanwhile joins the flight (whatever transport
// or spelling its client used). Within a flight servers are asked in the set's order: the next one
// when one fails, after hedge_delay of silence, and again from the front with growing pauses, since
// datagrams get lost. The first good reply wins. A reply that was cut short is asked for again over
// TCP; SERVFAIL and REFUSED are tried once at the next server where that one is known to answer.
// After the deadline, or when every server failed, the answer is SERVFAIL with an Extended DNS
// Error that says why (RFC 8914).
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
#include "dns/upstream/context.h"
#include "dns/upstream/random.h"
#include "dns/upstream/server_set.h"

namespace portolan::dns::upstream {

struct UpstreamOptions {
  absl::Duration hedge_delay = absl::Milliseconds(300);
  absl::Duration deadline = absl::Seconds(5);
  // Questions under way at once; more are answered SERVFAIL.
  size_t max_flights = 1000;
  // Sockets to upstreams at once, of any kind.
  size_t max_sockets = 1024;
  RandomSource random = KernelRandom;
};

class Upstream {
 public:
  explicit Upstream(EventLoop& loop, UpstreamOptions options = {});
  // Clients that still wait get no reply. REQUIRES: the listeners they belong to are still there.
  ~Upstream();
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  // Asks `servers`, which must outlive the flight. kPending, or kAnswered: SERVFAIL when a bound is
  // reached (the set's own, the flights, the listener's slots) or there is no server to ask.
  Verdict Ask(ServerSet& servers, Exchange& exchange);

  // The set is about to end: clients that still wait for its servers get no reply.
  void Forget(const ServerSet& servers);

  // What server sets are made with.
  Context& context() { return context_; }

  // Questions under way.
  size_t flights() const { return by_question_.size(); }

  void CollectMetrics(MetricFamilies& families) const;

 private:
  class Flight;

  // What became of a client's question.
  enum class Outcome : uint8_t {
    kAnswered,
    kTruncated,   // answered with a reply cut short, since TCP did not work
    kToNextLink,  // the reply was one that the set's rules leave to the next link
    kTimedOut,
    kUnreachable,
    kTlsFailed,
    kNoSocket,
    kNoServers,
    kOverloaded,
    kLimited,
    kLoop,
    kAllDown,
  };
  struct OutcomeInfo;
  static const OutcomeInfo& Info(Outcome outcome);
  static constexpr size_t kOutcomes = 12;

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
    Counter merged, hedged, over_tcp, all_down;
    std::array<Counter, kOutcomes> outcomes;
  };

  static void AnswerServFail(Exchange& exchange, Outcome outcome);
  Verdict Refuse(Exchange& exchange, Outcome outcome);
  void Count(Outcome outcome, size_t clients) {
    counters_.outcomes[static_cast<size_t>(outcome)].Add(clients);
  }
  bool HasFlight() const;
  Flight& TakeFlight();  // REQUIRES: HasFlight()
  void Release(Flight& flight);

  const UpstreamOptions options_;
  Context context_;
  Counters counters_;
  std::vector<std::unique_ptr<Flight>> slab_;  // grows to max_flights and stays
  std::vector<Flight*> free_;
  absl::flat_hash_map<Key, Flight*> by_question_;
};

}  // namespace portolan::dns::upstream
