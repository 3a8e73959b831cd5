// From the bytes of a query to the bytes of its reply: what UDP and TCP listeners share.
// The worker's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "common/ip.h"
#include "common/metrics.h"
#include "dns/exchange.h"
#include "dns/server/exchange_slot.h"
#include "dns/server/routes.h"

namespace portolan::dns {

struct Trace;

class QueryHandler {
 public:
  enum class Outcome : uint8_t {
    kReply,    // send the bytes given
    kPending,  // the sink gets the reply, or Forget, later
    kStream,   // over TCP: send what the stream gives
    kSilence,  // no reply at all
  };
  struct Handled {
    Outcome outcome;
    size_t reply_bytes = 0;  // of `room`
    std::shared_ptr<ReplyStream> stream = nullptr;
  };

  // `told` hears of the replies, and its gate decides which questions reach a chain.
  QueryHandler(SlotPool& slots, ZoneCounterTable& counters, const Routes::Told& told = {});

  // Queries from now on go by these zones; suspended ones end by the zones they began with.
  void SetChains(std::vector<ZoneChain> zones);

  // A query on its way to Handle. Valid as long as the message.
  struct Read {
    wire::ParseOutcome outcome;
    wire::Query query;
    Exchange::Time received;
  };
  // The links are told of it: a listener that has another message reads it before it handles this
  // one, and what the next answer needs is fetched from memory meanwhile.
  void ReadAhead(std::span<const uint8_t> message, Exchange::Time received, Read& out) const;

  // `room` has kMaxUdpReplyBytes over UDP, kMaxMessageBytes over TCP. CountDurations follows.
  Handled Handle(const Read& read, const SocketAddress& client, Transport transport,
                 std::span<uint8_t> room, const ReplyTo& to);
  // The same for a message that comes alone.
  Handled Handle(std::span<const uint8_t> message, const SocketAddress& client, Transport transport,
                 std::span<uint8_t> room, const ReplyTo& to);

  // A question that is explained: as if it came alone over UDP, and how it was answered goes to
  // `trace` (dns/server/trace.h). Makes chains for it: not for the data path.
  Handled Explain(std::span<const uint8_t> message, const SocketAddress& client,
                  std::span<uint8_t> room, const ReplyTo& to, const std::shared_ptr<Trace>& trace);

  // Counts how long the replies since the last call took. The clock is read once for all of a
  // batch, which leave at once: to read it for each took a tenth of the time of an answer.
  void CountDurations();

  void Collect(MetricFamilies& families) const;  // any thread

 private:
  class Origin;

  // CountDurations counts this reply too.
  void LeaveDuration(ZoneCounters& counters, Exchange::Time received);
  Handled Refuse(const wire::Query& query, std::span<uint8_t> room, wire::Rcode rcode,
                 Counter& reason);
  // Whether the gate lets it pass; else the reply is in the exchange.
  bool Passes(Exchange& exchange);

  SlotPool& slots_;
  ZoneCounterTable& zone_counters_;
  const Routes::Told told_;
  std::shared_ptr<const Routes> routes_;
  Trace* explained_ = nullptr;  // of the query that is handled now; null: a client sent it
  // Of the query that is handled now. Not on the stack: to clear these 3 KB for every query took a
  // sixth of its instructions.
  Questions questions_;

  // Replies whose duration is not counted yet: of one zone, to queries that came at once.
  struct {
    ZoneCounters* counters = nullptr;
    Exchange::Time received;
    uint64_t replies = 0;
  } uncounted_;

  struct {
    Counter dropped, formerr, notimp, refused_class, badvers, no_zone, plugin_dropped, gate_refused,
        gate_nxdomain;
  } counters_;
};

}  // namespace portolan::dns
