// Room for exchanges that wait for an upstream: a bounded number of slots for each worker, made
// when first needed and kept. The worker's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/ip.h"
#include "common/metrics.h"
#include "dns/exchange.h"
#include "dns/server/routes.h"
#include "dns/server/walk.h"

namespace portolan::dns {

class ReplySink;

// How a reply finds its way back, besides the client's address.
struct ReplyTo {
  // Null: nobody waits.
  ReplySink* sink = nullptr;
  // UDP on a wildcard address: the address that was asked, which must answer.
  std::optional<IpAddress> local;
  // TCP: the connection, if it is still there.
  uint64_t connection = 0;
};

// A listener.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  virtual void SendReply(const ReplyTo& to, const SocketAddress& client,
                         std::span<const uint8_t> reply) = 0;
  // The exchange ended without a reply.
  virtual void Forget(const ReplyTo& to) = 0;
  // Over UDP there are no streams.
  virtual void SendStream(const ReplyTo& to, const std::shared_ptr<ReplyStream>&) { Forget(to); }
};

// The longest query that can be suspended; a longer one is answered SERVFAIL.
inline constexpr size_t kSuspendedQueryBytes = 1536;
inline constexpr size_t kMaxUdpReplyBytes = 4096;

class SlotPool;

class ExchangeSlot final : public Suspended, private SuspendedPool {
 public:
  ExchangeSlot(SlotPool& pool, bool large);

  Exchange& exchange() override { return *exchange_; }
  void Resume() override { Continue(Verdict::kAnswered); }
  void Pass() override { Continue(Verdict::kNext); }
  void Retry() override;
  void Drop() override { Finish(Verdict::kDropped); }

 private:
  friend class SlotPool;

  void Bind(const Exchange& from, const ReplyTo& to, std::shared_ptr<const Routes> routes,
            const RoutePath& path);
  void BindInBackground(const Exchange& from, std::shared_ptr<const Routes> routes,
                        const RoutePath& path);
  void Continue(Verdict said);
  void Finish(Verdict verdict);
  void Release();

  // A link that suspends an exchange again finds it here.
  Suspended* Suspend(Exchange&) override { return this; }
  bool AskInBackground(const Exchange& from, std::span<const uint8_t> name, uint16_t type) override;

  SlotPool& pool_;
  const bool large_;
  std::unique_ptr<uint8_t[]> memory_;  // of the query's bytes and the room
  std::span<uint8_t> query_bytes_;
  std::span<uint8_t> room_;

  wire::Query query_;  // the client's
  Questions questions_;
  std::optional<Exchange> exchange_;
  ReplyTo to_;
  std::shared_ptr<const Routes> routes_;  // keeps the chain alive
  RoutePath path_;
};

class SlotPool {
 public:
  // At most so many; `large` slots have room for a reply over TCP.
  SlotPool(size_t small, size_t large);

  // Lets go of the chains that waiting exchanges hold; plugins may drop their exchanges as they
  // end, so the listeners are still there. What waits after that gets no reply.
  void ReleaseChains();

  // Null when no slot is free.
  Suspended* Suspend(const Exchange& exchange, const ReplyTo& to,
                     const std::shared_ptr<const Routes>& routes, const RoutePath& path);

  // Asks the links below the present one of `from` for themselves (Exchange::AskInBackground).
  // Takes at most an eighth of the slots.
  bool AskInBackground(const Exchange& from, std::span<const uint8_t> name, uint16_t type,
                       const std::shared_ptr<const Routes>& routes, const RoutePath& path);

  size_t in_use() const { return small_.in_use() + large_.in_use(); }
  void CollectMetrics(MetricFamilies& families) const;  // any thread

 private:
  friend class ExchangeSlot;

  struct Slots {
    std::vector<std::unique_ptr<ExchangeSlot>> all;
    // Last in, first out: the memory in use stays small and warm.
    std::vector<ExchangeSlot*> free;
    size_t max = 0;
    size_t in_use() const { return all.size() - free.size(); }
  };

  ExchangeSlot* Take(Slots& slots, const Exchange& exchange);

  Slots small_, large_;
  size_t in_background_ = 0;
  Counter full_;
  Counter background_;
  Counter background_refused_;
};

}  // namespace portolan::dns
