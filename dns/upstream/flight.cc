#include "dns/upstream/flight.h"

#include <algorithm>

#include "dns/wire/reply.h"

namespace portolan::dns::upstream {

Upstream::Flight::Flight(Upstream& upstream)
    : upstream_(upstream), timer_(upstream.context_.loop.AddTimer([this] { OnTimer(); })) {
  for (size_t i = 0; i < kMaxAttempts; ++i) tries_.emplace_back(upstream.context_, *this);
}

void Upstream::Flight::Start(ServerSet& servers, const Request& request) {
  const auto now = Clock::now();
  servers_ = &servers;
  request_ = request;
  order_ = servers.Order(now, upstream_.random_);
  tried_ = 0;
  pause_ = upstream_.options_.hedge_delay;
  deadline_ = now + absl::ToChronoNanoseconds(upstream_.options_.deadline);
  cut_.clear();
  AskNext();
  SetTimer();
}

void Upstream::Flight::AddWaiter(Suspended& waiter) {
  waiters_.push_back(&waiter);
  servers_->AddWaiting();
}

void Upstream::Flight::AskNext() {
  while (tried_ < tries_.size()) {
    Try& next = tries_[tried_];
    next.place = order_.places[tried_ % order_.size];
    next.counted_silent = false;
    ++tried_;
    if (tried_ > 1) upstream_.counters_.hedged.Add();
    if (Send(next)) return;
    servers_->OnFailure(next.place, Clock::now());
    if (tried_ >= order_.size) return;
  }
}

bool Upstream::Flight::Send(Try& next) {
  servers_->OnSent(next.place);
  const SocketAddress& server = servers_->server(next.place).address;
  const uint16_t id = upstream_.random_.Next16();
  if (servers_->transports() == Transports::kTcpOnly) {
    return next.attempt.StartTcp(server, request_.bytes(), id);
  }
  return next.attempt.StartUdp(server, request_.bytes(), id);
}

void Upstream::Flight::SetTimer() {
  const bool all_asked = tried_ >= order_.size;
  if (all_asked && !AnyRunning()) return timer_.Start(absl::ZeroDuration());
  const auto left = absl::FromChrono(deadline_ - Clock::now());
  timer_.Start(tried_ == tries_.size() ? left : std::min(pause_, left));
  if (all_asked) pause_ *= 2;
}

void Upstream::Flight::OnTimer() {
  const auto now = Clock::now();
  const bool failed = tried_ >= order_.size && !AnyRunning();
  if (failed || now >= deadline_) return FinishEmpty(failed);
  CountSilentServers(now);
  AskNext();
  SetTimer();
}

void Upstream::Flight::CountSilentServers(Clock::time_point now) {
  for (Try& one : tries_) {
    if (!one.attempt.running() || one.counted_silent) continue;
    one.counted_silent = true;
    servers_->OnFailure(one.place, now);
  }
}

bool Upstream::Flight::AnyRunning() const {
  return std::any_of(tries_.begin(), tries_.end(),
                     [](const Try& one) { return one.attempt.running(); });
}

Upstream::Flight::Try& Upstream::Flight::TryOf(const Attempt& attempt) {
  return *std::find_if(tries_.begin(), tries_.end(),
                       [&](const Try& one) { return &one.attempt == &attempt; });
}

void Upstream::Flight::OnReply(Attempt& attempt, const Reply& reply) {
  Try& answered = TryOf(attempt);
  servers_->OnReply(answered.place, reply.rcode());
  if (reply.truncated() && !attempt.over_tcp()) return RetryOverTcp(answered, reply);
  Close();
  upstream_.counters_.answered.Add(waiters_.size());
  AnswerWaiters(&reply);
}

void Upstream::Flight::RetryOverTcp(Try& cut, const Reply& reply) {
  upstream_.counters_.over_tcp.Add();
  cut_.assign(reply.message.begin(), reply.message.end());
  cut_id_ = wire::Load16(cut_.data());
  cut.counted_silent = true;  // it has answered: slow TCP is not silence
  servers_->OnSent(cut.place);
  const SocketAddress& server = servers_->server(cut.place).address;
  if (!cut.attempt.StartTcp(server, request_.bytes(), upstream_.random_.Next16())) {
    OnFailure(cut.attempt);
  }
}

void Upstream::Flight::OnFailure(Attempt& attempt) {
  servers_->OnFailure(TryOf(attempt).place, Clock::now());
  if (tried_ < order_.size) AskNext();
  SetTimer();
}

void Upstream::Flight::FinishEmpty(bool all_failed) {
  Close();
  Reply reply;
  if (!cut_.empty() &&
      ReadReply(cut_, cut_id_, QuestionOf(request_.bytes()), reply) == ReplyCheck::kOk) {
    upstream_.counters_.truncated.Add(waiters_.size());
    return AnswerWaiters(&reply);
  }
  Counter& outcome = all_failed ? upstream_.counters_.unreachable : upstream_.counters_.timed_out;
  outcome.Add(waiters_.size());
  AnswerWaiters(nullptr);
}

void Upstream::Flight::Close() {
  upstream_.by_question_.erase(key());
  timer_.Cancel();
  for (Try& one : tries_) one.attempt.Stop();
  servers_->RemoveWaiting(waiters_.size());
}

void Upstream::Flight::AnswerWaiters(const Reply* reply) {
  for (Suspended* waiter : waiters_) {
    Exchange& exchange = waiter->exchange();
    exchange.set_reply_bytes(reply == nullptr
                                 ? wire::WriteEmptyReply(exchange.query(), exchange.room(),
                                                         wire::Rcode::kServFail,
                                                         wire::flag::kRecursionAvailable)
                                 : WriteForClient(*reply, exchange.query(), exchange.room(),
                                                  exchange.max_reply_bytes()));
    waiter->Resume();
  }
  waiters_.clear();
  upstream_.Release(*this);
}

void Upstream::Flight::Abandon() {
  Close();
  for (Suspended* waiter : waiters_) waiter->Drop();
  waiters_.clear();
  upstream_.Release(*this);
}

}  // namespace portolan::dns::upstream
