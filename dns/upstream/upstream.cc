#include "dns/upstream/upstream.h"

#include <utility>

#include "dns/upstream/flight.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/reply.h"

namespace portolan::dns::upstream {

using wire::ExtendedError;

struct Upstream::OutcomeInfo {
  std::string_view name;  // in metrics
  // What the client is told where there is no answer.
  ExtendedError error = ExtendedError::kOther;
  std::string_view text = {};
};

const Upstream::OutcomeInfo& Upstream::Info(Outcome outcome) {
  static constexpr OutcomeInfo kInfos[kOutcomes] = {
      {"answered"},
      {"truncated"},
      {"next_link"},
      {"timed_out", ExtendedError::kNoReachableAuthority, "no upstream answered in time"},
      {"unreachable", ExtendedError::kNetworkError, "no upstream could be reached"},
      {"tls_failed", ExtendedError::kNetworkError, "no upstream could be verified over TLS"},
      {"no_socket", ExtendedError::kOther, "no socket is left to ask an upstream with"},
      {"no_servers", ExtendedError::kNoReachableAuthority, "no upstream is configured"},
      {"overloaded", ExtendedError::kOther, "too many questions wait for upstreams"},
      {"limited", ExtendedError::kOther, "max_concurrent of forward is reached"},
      {"loop", ExtendedError::kNoReachableAuthority,
       "forwarding loop: the upstream leads back to this sidecar"},
      {"all_down", ExtendedError::kNoReachableAuthority, "all upstreams fail their health checks"},
  };
  return kInfos[static_cast<size_t>(outcome)];
}

void Upstream::AnswerServFail(Exchange& exchange, Outcome outcome) {
  exchange.set_reply_bytes(wire::WriteEmptyReply(
      exchange.query(), exchange.room(), wire::Rcode::kServFail, wire::flag::kRecursionAvailable));
  exchange.AddExtendedError(Info(outcome).error, Info(outcome).text);
}

Verdict Upstream::Refuse(Exchange& exchange, Outcome outcome) {
  Count(outcome, 1);
  AnswerServFail(exchange, outcome);
  return Verdict::kAnswered;
}

Upstream::Upstream(EventLoop& loop, UpstreamOptions options)
    : options_(std::move(options)), context_(loop, options_.random, options_.max_sockets) {
  slab_.reserve(options_.max_flights);
  free_.reserve(options_.max_flights);
  by_question_.reserve(options_.max_flights);
}

Upstream::~Upstream() {
  while (!by_question_.empty()) by_question_.begin()->second->Abandon();
}

void Upstream::Forget(const ServerSet& servers) {
  std::vector<Flight*> theirs;
  for (const auto& [key, flight] : by_question_) {
    if (key.servers == &servers) theirs.push_back(flight);
  }
  for (Flight* flight : theirs) flight->Abandon();
}

Verdict Upstream::Ask(ServerSet& servers, Exchange& exchange) {
  exchange.set_asked(&servers);
  if (servers.size() == 0) return Refuse(exchange, Outcome::kNoServers);
  if (servers.full()) return Refuse(exchange, Outcome::kLimited);
  if (servers.AllDown()) {
    counters_.all_down.Add();
    if (servers.fail_fast()) return Refuse(exchange, Outcome::kAllDown);
  }
  Request request;
  WriteRequest(exchange.query(), exchange.upstream_payload(), request);
  const auto known = by_question_.find(
      Key{&servers, {reinterpret_cast<const char*>(request.room.data()), request.size}});
  if (known != by_question_.end()) {
    Suspended* waiter = exchange.Suspend();
    if (waiter == nullptr) return Refuse(exchange, Outcome::kOverloaded);
    counters_.merged.Add();
    known->second->AddWaiter(*waiter);
    return Verdict::kPending;
  }
  const ServerOrder order = servers.Order();
  if (order.size == 0) return Refuse(exchange, Outcome::kLoop);
  Suspended* waiter = HasFlight() ? exchange.Suspend() : nullptr;
  if (waiter == nullptr) return Refuse(exchange, Outcome::kOverloaded);
  Flight& flight = TakeFlight();
  flight.Start(servers, order, request);
  flight.AddWaiter(*waiter);
  by_question_.emplace(flight.key(), &flight);
  return Verdict::kPending;
}

bool Upstream::HasFlight() const { return !free_.empty() || slab_.size() < options_.max_flights; }

Upstream::Flight& Upstream::TakeFlight() {
  if (free_.empty()) return *slab_.emplace_back(std::make_unique<Flight>(*this));
  Flight* flight = free_.back();
  free_.pop_back();
  return *flight;
}

void Upstream::Release(Flight& flight) { free_.push_back(&flight); }

void Upstream::CollectMetrics(MetricFamilies& families) const {
  const auto add = [&](std::string_view name, std::string_view help, Labels labels,
                       const Counter& counter) {
    AddCounterSample(families, name, help, labels, static_cast<double>(counter.value()));
  };
  for (size_t i = 0; i < kOutcomes; ++i) {
    add("portolan_upstream_questions_total",
        "Questions passed on to other DNS servers, by what became of them.",
        {{"outcome", Info(static_cast<Outcome>(i)).name}}, counters_.outcomes[i]);
  }
  const std::pair<std::string_view, const Counter*> ignored[] = {
      {"wrong_id", &context_.wrong_id},
      {"wrong_question", &context_.wrong_question},
      {"wrong_case", &context_.wrong_case},
      {"malformed", &context_.malformed},
  };
  for (const auto& [reason, counter] : ignored) {
    add("portolan_upstream_ignored_replies_total", "Replies that were not the one waited for.",
        {{"reason", reason}}, *counter);
  }
  const std::string_view tls[kTlsErrors] = {"untrusted", "expired", "wrong_name",
                                            "other_certificate", "handshake"};
  for (size_t i = 0; i < kTlsErrors; ++i) {
    add("portolan_upstream_tls_failures_total",
        "TLS connections to upstreams that were given up before a question was sent.",
        {{"reason", tls[i]}}, context_.tls_errors[i]);
  }
  add("portolan_upstream_merged_total", "Questions that joined the same question under way.", {},
      counters_.merged);
  add("portolan_upstream_hedged_total", "Times a further server was asked, or one again.", {},
      counters_.hedged);
  add("portolan_upstream_over_tcp_total",
      "Replies that were cut short and asked for again over TCP.", {}, counters_.over_tcp);
  add("portolan_upstream_retried_total",
      "Questions asked again since their connection ended before the answer.", {},
      context_.retried_on_fresh_connection);
  add("portolan_upstream_socket_errors_total", "Sockets to upstreams that failed.", {},
      context_.socket_errors);
  add("portolan_upstream_sockets_refused_total",
      "Sockets to upstreams that were not opened, by what forbade it.", {{"reason", "limit"}},
      context_.too_many_sockets);
  add("portolan_upstream_sockets_refused_total",
      "Sockets to upstreams that were not opened, by what forbade it.",
      {{"reason", "no_descriptors"}}, context_.no_descriptors);
  // CoreDNS's names (plugin/forward/README.md).
  add("coredns_forward_max_concurrent_rejects_total",
      "Questions refused because max_concurrent was reached.", {},
      counters_.outcomes[static_cast<size_t>(Outcome::kLimited)]);
  add("coredns_forward_healthcheck_broken_total",
      "Questions that came while all upstreams were down.", {}, counters_.all_down);
}

}  // namespace portolan::dns::upstream
