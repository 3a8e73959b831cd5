#include "dns/upstream/flight.h"

#include <algorithm>

#include "dns/wire/bytes.h"

namespace portolan::dns::upstream {
namespace {

// What is as a rule the server's own trouble.
bool DeservesSecondOpinion(const Reply& reply) {
  return reply.rcode() == static_cast<uint16_t>(wire::Rcode::kServFail) ||
         reply.rcode() == static_cast<uint16_t>(wire::Rcode::kRefused);
}

}  // namespace

Upstream::Flight::Flight(Upstream& upstream)
    : upstream_(upstream), timer_(upstream.context_.loop.AddTimer([this] { OnTimer(); })) {
  for (size_t i = 0; i < kMaxAttempts; ++i) tries_.emplace_back(upstream.context_, *this);
}

void Upstream::Flight::Start(ServerSet& servers, const ServerOrder& order, const Request& request) {
  servers_ = &servers;
  order_ = order;
  request_ = request;
  const auto question = QuestionOf(request_.bytes());
  std::copy(question.begin(), question.end(), question_.begin());
  question_bytes_ = question.size();
  if (servers.spelling() == Spelling::kExact) {
    RandomizeCase(std::span(question_).first(question_bytes_), upstream_.context_.random);
  }
  most_tries_ =
      servers.max_attempts() == 0 ? kMaxAttempts : std::min(kMaxAttempts, servers.max_attempts());
  tried_ = 0;
  pause_ = upstream_.options_.hedge_delay;
  deadline_ = Clock::now() + absl::ToChronoNanoseconds(upstream_.options_.deadline);
  no_socket_ = tls_failed_ = second_opinion_ = false;
  kept_.clear();
  story_ = {};
  AskNext();
  SetTimer();
}

void Upstream::Flight::AddWaiter(Suspended& waiter) {
  waiters_.push_back(&waiter);
  servers_->AddWaiting();
}

Outgoing Upstream::Flight::outgoing() const {
  return {request_.bytes(), std::span(question_).first(question_bytes_), servers_->spelling()};
}

void Upstream::Flight::AskNext() {
  no_socket_ = false;
  while (tried_ < most_tries_) {
    Try& next = tries_[tried_];
    next.place = order_.places[tried_ % order_.size];
    next.counted_silent = false;
    next.sent = Clock::now();
    ++tried_;
    if (tried_ > 1) upstream_.counters_.hedged.Add();
    switch (ServerOf(next).Send(next.attempt, outgoing())) {
      case Started::kYes:
        return;
      case Started::kNoSocket:
        no_socket_ = true;
        return;
      case Started::kUnreachable:
        ServerOf(next).OnUnanswered();
        break;
    }
    if (AllAsked()) return;
  }
}

// Found to since the question was sent.
bool Upstream::Flight::AllLeadBack() const {
  return std::all_of(order_.places.begin(), order_.places.begin() + order_.size,
                     [&](uint8_t place) { return servers_->server(place).leads_back(); });
}

bool Upstream::Flight::AllAsked() const { return tried_ >= std::min(order_.size, most_tries_); }

void Upstream::Flight::SetTimer() {
  if (Stuck()) return timer_.Start(absl::ZeroDuration());
  const auto now = Clock::now();
  auto wait = absl::FromChrono(deadline_ - now);
  if (tried_ < most_tries_) wait = std::min(wait, pause_);
  if (!kept_.empty()) wait = std::min(wait, absl::FromChrono(kept_until_ - now));
  timer_.Start(wait);
  if (AllAsked()) pause_ *= 2;
}

void Upstream::Flight::OnTimer() {
  const auto now = Clock::now();
  if (Stuck() || now >= deadline_ || AllLeadBack()) return FinishEmpty();
  if (!kept_.empty() && now >= kept_until_) return FinishEmpty();
  CountSilentServers();
  AskNext();
  SetTimer();
}

void Upstream::Flight::CountSilentServers() {
  for (Try& one : tries_) {
    if (!one.attempt.running() || one.counted_silent) continue;
    one.counted_silent = true;
    ServerOf(one).OnUnanswered();
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
  story_.answered = static_cast<uint8_t>(answered.place);
  story_.round_trip = Clock::now() - answered.sent;
  ServerOf(answered).OnReply(reply.rcode(), story_.round_trip);
  if (reply.truncated() && !attempt.over_stream()) return RetryOverStream(answered, reply);
  if (AsksFurther(reply)) {
    attempt.Stop();
    AskNext();
    return SetTimer();
  }
  Close();
  AnswerWaiters(reply, Outcome::kAnswered);
}

// Keeps the reply if so.
bool Upstream::Flight::AsksFurther(const Reply& reply) {
  if (AllAsked()) return false;
  const auto hedge = absl::ToChronoNanoseconds(upstream_.options_.hedge_delay);
  const size_t left = std::min(order_.size, most_tries_) - tried_;
  if (servers_->FailsOver(reply)) {
    Keep(reply, Clock::now() + hedge * left);
    return true;
  }
  // Once, and only of a server that is known to answer.
  if (second_opinion_ || !DeservesSecondOpinion(reply)) return false;
  if (servers_->server(order_.places[tried_]).avoided()) return false;
  second_opinion_ = true;
  Keep(reply, Clock::now() + hedge);
  return true;
}

void Upstream::Flight::Keep(const Reply& reply, Clock::time_point until) {
  kept_.assign(reply.message.begin(), reply.message.end());
  kept_until_ = until;
}

void Upstream::Flight::RetryOverStream(Try& cut, const Reply& reply) {
  upstream_.counters_.over_tcp.Add();
  Keep(reply, deadline_);
  cut.sent = Clock::now();
  cut.counted_silent = true;  // it has answered: slow TCP is not silence
  if (ServerOf(cut).SendOverStream(cut.attempt, outgoing()) != Started::kYes) {
    OnFailure(cut.attempt, AttemptError::kNetwork);
  }
}

void Upstream::Flight::OnFailure(Attempt& attempt, AttemptError error) {
  tls_failed_ = tls_failed_ || error == AttemptError::kTls;
  ServerOf(TryOf(attempt)).OnUnanswered();
  if (!AllAsked()) AskNext();
  SetTimer();
}

void Upstream::Flight::FinishEmpty() {
  const Outcome outcome = WhyEmpty();
  Close();
  Reply reply;
  if (!kept_.empty() && ReadReply(kept_, wire::Load16(kept_.data()), QuestionOf(request_.bytes()),
                                  Spelling::kAny, reply) == ReplyCheck::kOk) {
    return AnswerWaiters(reply, reply.truncated() ? Outcome::kTruncated : Outcome::kAnswered);
  }
  FailWaiters(outcome);
}

Upstream::Outcome Upstream::Flight::WhyEmpty() const {
  if (AllLeadBack()) return Outcome::kLoop;
  if (AnyRunning()) return Outcome::kTimedOut;
  if (no_socket_) return Outcome::kNoSocket;
  return tls_failed_ ? Outcome::kTlsFailed : Outcome::kUnreachable;
}

void Upstream::Flight::Close() {
  upstream_.by_question_.erase(key());
  timer_.Cancel();
  for (Try& one : tries_) one.attempt.Stop();
  servers_->RemoveWaiting(waiters_.size());
  story_.tries = tried_;
  servers_->set_story(story_);
}

// From the first client on the servers may be gone: they may be of a configuration that has ended.
void Upstream::Flight::AnswerWaiters(const Reply& reply, Outcome outcome) {
  const bool to_next_link = servers_->GoesToNextLink(reply);
  upstream_.Count(to_next_link ? Outcome::kToNextLink : outcome, waiters_.size());
  for (Suspended* waiter : waiters_) {
    if (to_next_link) {
      waiter->Pass();
      continue;
    }
    Exchange& exchange = waiter->exchange();
    exchange.set_reply_bytes(
        WriteForClient(reply, exchange.query(), exchange.room(), exchange.max_reply_bytes()));
    exchange.set_answered_by_upstream(true);
    waiter->Resume();
  }
  waiters_.clear();
  upstream_.Release(*this);
}

void Upstream::Flight::FailWaiters(Outcome outcome) {
  upstream_.Count(outcome, waiters_.size());
  for (Suspended* waiter : waiters_) {
    AnswerServFail(waiter->exchange(), outcome);
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
