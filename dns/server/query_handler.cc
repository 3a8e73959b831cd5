#include "dns/server/query_handler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "dns/server/trace.h"
#include "dns/server/walk.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

// The pool as one exchange sees it: it knows where the reply goes.
class QueryHandler::Origin final : public SuspendedPool {
 public:
  Origin(SlotPool& slots, const ReplyTo& to, const std::shared_ptr<const Routes>& routes,
         const Route& route)
      : slots_(slots), to_(to), routes_(routes), path_{&route, nullptr} {}

  Suspended* Suspend(Exchange& exchange) override {
    return slots_.Suspend(exchange, to_, routes_, path_);
  }
  bool AskInBackground(const Exchange& from, std::span<const uint8_t> name,
                       uint16_t type) override {
    return slots_.AskInBackground(from, name, type, routes_, path_);
  }

  RoutePath& path() { return path_; }

 private:
  SlotPool& slots_;
  const ReplyTo& to_;
  const std::shared_ptr<const Routes>& routes_;
  RoutePath path_;
};

QueryHandler::QueryHandler(SlotPool& slots, ZoneCounterTable& counters, const Routes::Told& told)
    : slots_(slots), zone_counters_(counters), told_(told) {
  SetChains({});
}

void QueryHandler::SetChains(std::vector<ZoneChain> zones) {
  routes_ = std::make_shared<const Routes>(std::move(zones), zone_counters_, told_);
}

void QueryHandler::ReadAhead(std::span<const uint8_t> message, Exchange::Time received,
                             Read& out) const {
  out.received = received;
  out.outcome = wire::ParseQuery(message, out.query);
  if (out.outcome != wire::ParseOutcome::kQuery) return;
  if (const Route* route = routes_->Find(out.query)) route->to.chain->Expect(out.query);
}

QueryHandler::Handled QueryHandler::Handle(std::span<const uint8_t> message,
                                           const SocketAddress& client, Transport transport,
                                           std::span<uint8_t> room, const ReplyTo& to) {
  Read read;
  read.received = std::chrono::steady_clock::now();
  read.outcome = wire::ParseQuery(message, read.query);
  Handled handled = Handle(read, client, transport, room, to);
  CountDurations();
  return handled;
}

QueryHandler::Handled QueryHandler::Handle(const Read& read, const SocketAddress& client,
                                           Transport transport, std::span<uint8_t> room,
                                           const ReplyTo& to) {
  const wire::Query& query = read.query;
  switch (read.outcome) {
    case wire::ParseOutcome::kQuery:
    case wire::ParseOutcome::kChaos:
      break;
    case wire::ParseOutcome::kDrop:
      counters_.dropped.Add();
      return {Outcome::kSilence};
    case wire::ParseOutcome::kFormErr:
      return Refuse(query, room, wire::Rcode::kFormErr, counters_.formerr);
    case wire::ParseOutcome::kNotImp:
      return Refuse(query, room, wire::Rcode::kNotImp, counters_.notimp);
    case wire::ParseOutcome::kRefused:
      return Refuse(query, room, wire::Rcode::kRefused, counters_.refused_class);
    case wire::ParseOutcome::kBadVers:
      return Refuse(query, room, wire::Rcode::kBadVers, counters_.badvers);
  }
  const Route* route = routes_->Find(query);
  if (route == nullptr) return Refuse(query, room, wire::Rcode::kRefused, counters_.no_zone);
  route->counters->CountRequest(transport, client.ip.family(), query);

  Origin origin(slots_, to, routes_, *route);
  questions_.Clear();
  Exchange exchange(query, client, transport, room, origin, &questions_);
  exchange.set_received(read.received);
  exchange.set_max_reply_bytes(transport == Transport::kTcp
                                   ? room.size()
                                   : std::min<size_t>(query.udp_payload, room.size()));
  if (told_.gate != nullptr && !Passes(exchange)) {
    route->CountReply(exchange);
    LeaveDuration(*route->counters, read.received);
    return {Outcome::kReply, exchange.reply().size()};
  }
  switch (Walk(*routes_, origin.path(), exchange, Verdict::kNext)) {
    case Verdict::kPending:
      return {Outcome::kPending};
    case Verdict::kDropped:
      counters_.plugin_dropped.Add();
      return {Outcome::kSilence};
    case Verdict::kStream:
      return {transport == Transport::kTcp ? Outcome::kStream : Outcome::kSilence, 0,
              exchange.stream()};
    case Verdict::kAnswered:
    case Verdict::kNext:
    case Verdict::kAlias:
      break;
  }
  routes_->Tell(*route, exchange);
  LeaveDuration(*route->counters, read.received);
  return {Outcome::kReply, exchange.reply().size()};
}

bool QueryHandler::Passes(Exchange& exchange) {
  using Asker = QueryGate::Asker;
  const QueryGate::Decision decision =
      told_.gate->OnQuery(exchange, explained_ == nullptr ? Asker::kClient : Asker::kExplained);
  if (decision.ruling == QueryGate::Ruling::kPass) {
    exchange.set_completable(!decision.as_asked);
    exchange.set_gate_mark(decision.mark);
    return true;
  }
  const bool refused = decision.ruling == QueryGate::Ruling::kRefused;
  (refused ? counters_.gate_refused : counters_.gate_nxdomain).Add();
  if (explained_ != nullptr) explained_->gate = decision.why;
  exchange.set_reply_bytes(wire::WriteEmptyReply(
      exchange.query(), exchange.room(), refused ? wire::Rcode::kRefused : wire::Rcode::kNxDomain,
      wire::flag::kRecursionAvailable));
  if (!decision.why.empty()) {
    exchange.AddExtendedError(wire::ExtendedError::kProhibited, decision.why);
  }
  return false;
}

QueryHandler::Handled QueryHandler::Explain(std::span<const uint8_t> message,
                                            const SocketAddress& client, std::span<uint8_t> room,
                                            const ReplyTo& to,
                                            const std::shared_ptr<Trace>& trace) {
  Read read;
  read.received = std::chrono::steady_clock::now();
  read.outcome = wire::ParseQuery(message, read.query);
  if (read.outcome == wire::ParseOutcome::kQuery) {
    if (const Route* route = routes_->Find(read.query)) {
      trace->server = route->to.server;
      trace->zone = route->to.zone.text;
    }
  }
  // In the place of the others for this question alone, which keeps them if it has to wait: so that
  // Handle need not ask whose routes it is to go by. Nobody is told: the application did not ask.
  auto traced =
      std::make_shared<const Routes>(Traced(*routes_, trace), zone_counters_, Routes::Told{});
  std::swap(routes_, traced);
  explained_ = trace.get();
  Handled handled = Handle(read, client, Transport::kUdp, room, to);
  explained_ = nullptr;
  std::swap(routes_, traced);
  CountDurations();
  return handled;
}

void QueryHandler::LeaveDuration(ZoneCounters& counters, Exchange::Time received) {
  if (&counters != uncounted_.counters || received != uncounted_.received) {
    CountDurations();
    uncounted_ = {&counters, received, 0};
  }
  ++uncounted_.replies;
}

void QueryHandler::CountDurations() {
  if (uncounted_.replies == 0) return;
  uncounted_.counters->ObserveDuration(Exchange::Time::clock::now() - uncounted_.received,
                                       uncounted_.replies);
  uncounted_.replies = 0;
}

QueryHandler::Handled QueryHandler::Refuse(const wire::Query& query, std::span<uint8_t> room,
                                           wire::Rcode rcode, Counter& reason) {
  reason.Add();
  return {Outcome::kReply, wire::WriteEmptyReply(query, room, rcode)};
}

void QueryHandler::Collect(MetricFamilies& families) const {
  auto add = [&](std::string_view reason, const Counter& counter) {
    AddCounterSample(families, "portolan_dns_rejected_queries_total",
                     "Queries that reached no plugin, or got no reply, by reason.",
                     {{"reason", reason}}, static_cast<double>(counter.value()));
  };
  add("short_or_response", counters_.dropped);
  add("formerr", counters_.formerr);
  add("opcode", counters_.notimp);
  add("class", counters_.refused_class);
  add("edns_version", counters_.badvers);
  add("no_zone", counters_.no_zone);
  add("plugin_dropped", counters_.plugin_dropped);
  add("gate_refused", counters_.gate_refused);
  add("gate_nxdomain", counters_.gate_nxdomain);
}

}  // namespace portolan::dns
