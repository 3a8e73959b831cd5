// Who is told of replies, as for a report of what a pod asks for.
//
//   class Names : public ReplyObserver {
//     void OnReply(const dns::Exchange& exchange, uint32_t times) override { ... }
//   };
//
// Part of the cost of each query; the worker's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/sample.h"
#include "dns/exchange.h"
#include "dns/wire/query.h"

namespace portolan::dns {

class ReplyObserver {
 public:
  virtual ~ReplyObserver() = default;

  // The reply to a client's question is about to be sent. Here and not in OnReply it is seen
  // whether that is to be called: a query every millisecond finds the code of a call cold, which
  // costs ten times what its instructions do.
  void Tell(const Exchange& exchange) {
    if (all_until_ == nullptr) return OnReply(exchange, 1);
    const uint32_t second = Seconds(exchange.received());
    const uint32_t times = sample_.Take(second);
    if (times > 0 || !IsPlain(exchange) || second <= all_until_->load(std::memory_order_relaxed)) {
      OnReply(exchange, times);
    }
  }

  // Of Exchange::received(), as in `all_until`.
  static uint32_t Seconds(Exchange::Time time) {
    return static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
  }

 protected:
  // Is told of all replies.
  ReplyObserver() = default;
  // After the second `all_until` plain replies are told of by a sample. Outlives it; any thread
  // sets it.
  explicit ReplyObserver(const std::atomic<uint32_t>& all_until) : all_until_(&all_until) {}

  // `times`: for how many replies this one stands; 0: for none, it is told of since it is not
  // plain, or since all are.
  virtual void OnReply(const Exchange& exchange, uint32_t times) = 0;

 private:
  // Without an error, of the name as it was asked, and no server was asked for it.
  static bool IsPlain(const Exchange& exchange) {
    const auto reply = exchange.reply();
    return exchange.asked() == nullptr && !exchange.completed() && reply.size() > 3 &&
           (reply[3] & 15) == 0;
  }

  const std::atomic<uint32_t>* const all_until_ = nullptr;
  Sample sample_;
};

}  // namespace portolan::dns
