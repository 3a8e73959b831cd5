#include "dns/upstream/upstream.h"

#include <utility>

#include "dns/upstream/flight.h"
#include "dns/wire/reply.h"

namespace portolan::dns::upstream {
namespace {

Verdict AnswerEmpty(Exchange& exchange, wire::Rcode rcode) {
  exchange.set_reply_bytes(wire::WriteEmptyReply(exchange.query(), exchange.room(), rcode,
                                                 wire::flag::kRecursionAvailable));
  return Verdict::kAnswered;
}

}  // namespace

Upstream::Upstream(EventLoop& loop, UpstreamOptions options)
    : context_(loop), options_(std::move(options)), random_(options_.random) {
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
  if (servers.size() == 0) {
    counters_.no_servers.Add();
    return AnswerEmpty(exchange, wire::Rcode::kServFail);
  }
  if (servers.full()) {
    counters_.limited.Add();
    return AnswerEmpty(exchange, wire::Rcode::kRefused);
  }
  Request request;
  WriteRequest(exchange.query(), request);
  const auto known = by_question_.find(
      Key{&servers, {reinterpret_cast<const char*>(request.room.data()), request.size}});
  const bool joins = known != by_question_.end();
  Suspended* waiter = joins || HasFlight() ? exchange.Suspend() : nullptr;
  if (waiter == nullptr) {
    counters_.overloaded.Add();
    return AnswerEmpty(exchange, wire::Rcode::kServFail);
  }
  if (joins) {
    counters_.merged.Add();
    known->second->AddWaiter(*waiter);
    return Verdict::kPending;
  }
  Flight& flight = TakeFlight();
  flight.Start(servers, request);
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
  const std::pair<std::string_view, const Counter*> outcomes[] = {
      {"answered", &counters_.answered},       {"timed_out", &counters_.timed_out},
      {"unreachable", &counters_.unreachable}, {"no_servers", &counters_.no_servers},
      {"overloaded", &counters_.overloaded},   {"limited", &counters_.limited},
      {"truncated", &counters_.truncated},
  };
  for (const auto& [outcome, counter] : outcomes) {
    AddCounterSample(families, "portolan_upstream_questions_total",
                     "Questions passed on to other DNS servers, by what became of them.",
                     {{"outcome", outcome}}, static_cast<double>(counter->value()));
  }
  const std::pair<std::string_view, const Counter*> replies[] = {
      {"wrong_id", &context_.wrong_id},
      {"wrong_question", &context_.wrong_question},
      {"malformed", &context_.malformed},
  };
  for (const auto& [reason, counter] : replies) {
    AddCounterSample(families, "portolan_upstream_ignored_replies_total",
                     "Replies that were not the one waited for.", {{"reason", reason}},
                     static_cast<double>(counter->value()));
  }
  AddCounterSample(families, "portolan_upstream_merged_total",
                   "Questions that joined the same question under way.", {},
                   static_cast<double>(counters_.merged.value()));
  AddCounterSample(families, "portolan_upstream_hedged_total",
                   "Times a further server was asked, or one again.", {},
                   static_cast<double>(counters_.hedged.value()));
  AddCounterSample(families, "portolan_upstream_over_tcp_total",
                   "Replies that were cut short and asked for again over TCP.", {},
                   static_cast<double>(counters_.over_tcp.value()));
  AddCounterSample(families, "portolan_upstream_socket_errors_total",
                   "Sockets to upstreams that failed.", {},
                   static_cast<double>(context_.socket_errors.value()));
  // CoreDNS's name for the same count (plugin/forward/README.md).
  AddCounterSample(families, "coredns_forward_max_concurrent_rejects_total",
                   "Questions refused because max_concurrent was reached.", {},
                   static_cast<double>(counters_.limited.value()));
}

}  // namespace portolan::dns::upstream
