#include "dns/upstream/health.h"

#include <algorithm>

#include "dns/upstream/server.h"

namespace portolan::dns::upstream {

Health::Health(Context& context, const HealthOptions& options, Server& server)
    : server_(server),
      interval_(std::max(options.interval, kMinInterval)),
      max_fails_(options.max_fails),
      attempts_{Attempt(context, *this), Attempt(context, *this)},
      timer_(context.loop.AddTimer([this] { Probe(); })) {
  const auto* name = reinterpret_cast<const uint8_t*>(options.domain.data());
  WriteQuestion({name, options.domain.size()}, wire::type::kNs,
                options.recursion_desired ? wire::flag::kRecursionDesired : 0, question_);
}

void Health::OnUnanswered() {
  if (max_fails_ == 0 || probing_) return;
  probing_ = true;
  failed_in_a_row_ = 0;
  // Not from here: the question that went unanswered is not done with its socket.
  timer_.Start(absl::ZeroDuration());
}

void Health::OnAnswered() {
  if (!probing_) return;
  probing_ = false;
  failed_in_a_row_ = 0;
  timer_.Cancel();
  for (Attempt& attempt : attempts_) attempt.Stop();
}

void Health::Probe() {
  Attempt& attempt = attempts_[next_];
  next_ = 1 - next_;
  if (attempt.running()) CountFailure();
  const std::span<const uint8_t> request = question_.bytes();
  // Without a socket of our own nothing is learnt.
  if (server_.SendProbe(attempt, {request, QuestionOf(request)}) == Started::kUnreachable) {
    CountFailure();
  }
  timer_.Start(interval_);
}

void Health::CountFailure() {
  ++failed_in_a_row_;
  failed_probes_.Add();
}

void Health::OnReply(Attempt&, const Reply&) { OnAnswered(); }

void Health::OnFailure(Attempt&, AttemptError) { CountFailure(); }

}  // namespace portolan::dns::upstream
