// One question under way to upstreams and the clients that wait for it. Used by Upstream alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "dns/upstream/upstream.h"

namespace portolan::dns::upstream {

class Upstream::Flight final : public AttemptListener {
 public:
  explicit Flight(Upstream& upstream);

  // REQUIRES: the flight is free, `order` is not empty. Nobody waits yet.
  void Start(ServerSet& servers, const ServerOrder& order, const Request& request);
  void AddWaiter(Suspended& waiter);
  // Ends without an answer and without telling the clients.
  void Abandon();

  Key key() const {
    return {servers_, {reinterpret_cast<const char*>(request_.room.data()), request_.size}};
  }

  void OnReply(Attempt& attempt, const Reply& reply) override;
  void OnFailure(Attempt& attempt, AttemptError error) override;

 private:
  // More would be sockets for nothing: with the pauses growing, the deadline comes first.
  static constexpr size_t kMaxAttempts = 8;

  struct Try {
    Try(Context& context, AttemptListener& listener) : attempt(context, listener) {}
    Attempt attempt;
    size_t place = 0;  // in the server set
    bool counted_silent = false;
    Clock::time_point sent;
  };

  void OnTimer();
  void AskNext();
  void RetryOverStream(Try& cut, const Reply& reply);
  bool AsksFurther(const Reply& reply);
  void Keep(const Reply& reply, Clock::time_point until);
  void SetTimer();
  void CountSilentServers();
  bool AnyRunning() const;
  bool AllAsked() const;
  bool AllLeadBack() const;
  bool Stuck() const { return !AnyRunning() && (AllAsked() || no_socket_); }
  Try& TryOf(const Attempt& attempt);
  Server& ServerOf(const Try& one) { return servers_->server(one.place); }
  Outgoing outgoing() const;

  // The deadline has come or every server failed.
  void FinishEmpty();
  Outcome WhyEmpty() const;
  // Lets go of the question and the sockets, so that answering the clients may ask new ones.
  void Close();
  void AnswerWaiters(const Reply& reply, Outcome outcome);
  void FailWaiters(Outcome outcome);

  Upstream& upstream_;
  ServerSet* servers_ = nullptr;
  Request request_;
  // As it is sent: the request's own, or in a letter case of its own.
  std::array<uint8_t, wire::kMaxNameBytes + 5> question_;
  size_t question_bytes_ = 0;
  ServerOrder order_;
  std::deque<Try> tries_;  // kMaxAttempts of them; attempts do not move
  size_t most_tries_ = 0;
  size_t tried_ = 0;
  Clock::time_point deadline_;
  absl::Duration pause_;
  EventLoop::Timer timer_;
  std::vector<Suspended*> waiters_;
  bool no_socket_ = false;
  bool tls_failed_ = false;
  // A reply for when nothing better comes: cut short, or an error that another server may not
  // share.
  std::vector<uint8_t> kept_;
  Clock::time_point kept_until_;
  bool second_opinion_ = false;
  ServerSet::Story story_;  // without the tries
};

}  // namespace portolan::dns::upstream
