// One question under way to upstreams and the clients that wait for it. Used by Upstream alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "dns/upstream/upstream.h"

namespace portolan::dns::upstream {

class Upstream::Flight final : public AttemptListener {
 public:
  explicit Flight(Upstream& upstream);

  // REQUIRES: the flight is free. Nobody waits yet.
  void Start(ServerSet& servers, const Request& request);
  void AddWaiter(Suspended& waiter);
  // Ends without an answer and without telling the clients.
  void Abandon();

  Key key() const {
    return {servers_, {reinterpret_cast<const char*>(request_.room.data()), request_.size}};
  }

  void OnReply(Attempt& attempt, const Reply& reply) override;
  void OnFailure(Attempt& attempt) override;

 private:
  // More would be sockets for nothing: with the pauses growing, the deadline comes first.
  static constexpr size_t kMaxAttempts = 8;

  struct Try {
    Try(AttemptContext& context, AttemptListener& listener) : attempt(context, listener) {}
    Attempt attempt;
    size_t place = 0;  // in the server set
    bool counted_silent = false;
  };

  void OnTimer();
  void AskNext();
  bool Send(Try& next);
  void RetryOverTcp(Try& cut, const Reply& reply);
  void SetTimer();
  void CountSilentServers(Clock::time_point now);
  bool AnyRunning() const;
  Try& TryOf(const Attempt& attempt);

  // The deadline has come or every server failed.
  void FinishEmpty(bool all_failed);
  // Lets go of the question and the sockets, so that answering the clients may ask new ones.
  void Close();
  // `reply` null: SERVFAIL.
  void AnswerWaiters(const Reply* reply);

  Upstream& upstream_;
  ServerSet* servers_ = nullptr;
  Request request_;
  ServerOrder order_;
  std::deque<Try> tries_;  // kMaxAttempts of them; attempts do not move
  size_t tried_ = 0;
  Clock::time_point deadline_;
  absl::Duration pause_;
  EventLoop::Timer timer_;
  std::vector<Suspended*> waiters_;
  // A reply that was cut short, for when TCP does not work: better than nothing.
  std::vector<uint8_t> cut_;
  uint16_t cut_id_ = 0;
};

}  // namespace portolan::dns::upstream
