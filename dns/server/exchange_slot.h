// Room for exchanges that wait for an upstream: a fixed number of slots for each worker, made at
// the start. The worker's thread only.
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

namespace portolan::dns {

class ReplySink;

// How a reply finds its way back, besides the client's address.
struct ReplyTo {
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
};

// Whose chains the reply goes back through.
struct RoutePath {
  const Route* route = nullptr;  // of the question that is being asked
  // Of the client's question, where that is another one and its reply is aside; else null.
  const Route* aside = nullptr;
};

// The longest query that can be suspended; a longer one is answered SERVFAIL.
inline constexpr size_t kSuspendedQueryBytes = 1536;
inline constexpr size_t kMaxUdpReplyBytes = 4096;

class SlotPool;

class ExchangeSlot final : public Suspended {
 public:
  Exchange& exchange() override { return *exchange_; }
  void Resume() override;
  void Drop() override;

 private:
  friend class SlotPool;

  void Bind(const Exchange& from, const ReplyTo& to, std::shared_ptr<const Routes> routes,
            const RoutePath& path);
  void Release();

  SlotPool* pool_ = nullptr;
  std::span<uint8_t> query_bytes_;
  std::span<uint8_t> room_;
  bool large_ = false;

  wire::Query query_;
  std::optional<Exchange> exchange_;
  ReplyTo to_;
  std::shared_ptr<const Routes> routes_;  // keeps the chain alive
  RoutePath path_;
};

class SlotPool {
 public:
  // `large` slots have room for a reply over TCP.
  SlotPool(size_t small, size_t large);

  // Lets go of the chains that waiting exchanges hold; plugins may drop their exchanges as they
  // end, so the listeners are still there. What waits after that gets no reply.
  void ReleaseChains();

  // Null when no slot is free.
  Suspended* Suspend(const Exchange& exchange, const ReplyTo& to,
                     const std::shared_ptr<const Routes>& routes, const RoutePath& path);

  size_t in_use() const {
    return small_.size() + large_.size() - free_small_.size() - free_large_.size();
  }
  const Counter& full() const { return full_; }

 private:
  friend class ExchangeSlot;

  std::vector<std::unique_ptr<ExchangeSlot>> small_, large_;
  // Last in, first out: the memory in use stays small and warm.
  std::vector<ExchangeSlot*> free_small_, free_large_;
  std::unique_ptr<uint8_t[]> memory_;
  Counter full_;
};

}  // namespace portolan::dns
