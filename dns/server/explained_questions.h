// Questions that nobody sent: asked of a worker's chains from within, to see how they are answered.
// The worker's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include "common/ip.h"
#include "dns/server/exchange_slot.h"
#include "dns/server/query_handler.h"
#include "dns/server/trace.h"

namespace portolan::dns {

class ExplainedQuestions final : public ReplySink {
 public:
  // Under way at once; more get no answer.
  static constexpr size_t kMost = 64;
  // `reply` is empty where there is none. Called once, perhaps before Ask returns, unless the
  // server ends before.
  using Done = std::function<void(std::span<const uint8_t> reply, const Trace& trace)>;

  // `handler` outlives it.
  explicit ExplainedQuestions(QueryHandler& handler) : handler_(handler) {}

  // As if `client` had sent the message over UDP.
  void Ask(std::span<const uint8_t> message, const SocketAddress& client, Done done);

  void SendReply(const ReplyTo& to, const SocketAddress& client,
                 std::span<const uint8_t> reply) override;
  void Forget(const ReplyTo& to) override;

 private:
  struct UnderWay {
    std::shared_ptr<Trace> trace;
    Done done;
    std::chrono::steady_clock::time_point began;
  };

  void End(uint64_t id, std::span<const uint8_t> reply);

  QueryHandler& handler_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, UnderWay> under_way_;  // by ReplyTo::connection
};

}  // namespace portolan::dns
