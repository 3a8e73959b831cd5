#include "xds/authentication/token_gate.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "xds/authentication/bearer_token.h"

namespace portolan::xds {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);

bool HasExpired(const absl::StatusOr<PodIdentity>& found) {
  return found.ok() && found->expires <= absl::Now();
}

}  // namespace

TokenGate::TokenGate(EventLoop& loop, std::unique_ptr<TokenVerifier> verifier, Options options)
    : loop_(loop),
      verifier_(std::move(verifier)),
      options_(options),
      patience_(loop.AddTimer([this] { LoseWaiters(); })) {}

void TokenGate::Admit(std::string_view authorization, Done done) {
  const auto token = BearerToken(authorization);
  if (!token.has_value()) {
    Count(kNoToken);
    return done(absl::UnauthenticatedError(fmt::format(
        "no token: 'authorization: Bearer' has to hold one for the audience {}", kAudience)));
  }
  std::string hash = HashOf(*token);
  if (const auto known = Recall(hash, /*fresh=*/true)) return Answer(*known, done);
  if (waiting_.fetch_add(1) >= options_.max_waiting) {
    --waiting_;
    Count(kBusy);
    return done(absl::UnavailableError("too many clients wait for their tokens to be verified"));
  }
  loop_.Post([self = std::weak_ptr(self_), hash = std::move(hash), token = std::string(*token),
              done = std::move(done)]() mutable {
    if (const auto gate = self.lock()) (*gate)->Wait(hash, std::move(token), std::move(done));
  });
}

bool TokenGate::MayLog() {
  const int64_t now = absl::ToInt64Milliseconds(Monotonic());
  int64_t next = next_log_ms_;
  return now >= next && next_log_ms_.compare_exchange_strong(next, now + 1000);
}

void TokenGate::Answer(const absl::StatusOr<PodIdentity>& found, const Done& done) {
  if (found.ok()) {
    Count(kAccepted);
  } else {
    Count(absl::IsUnauthenticated(found.status()) ? kRefused : kUnavailable);
  }
  done(found);
}

std::optional<absl::StatusOr<PodIdentity>> TokenGate::Recall(std::string_view hash,
                                                             bool fresh) const {
  return memory_.With([&](const Memory& memory) -> std::optional<absl::StatusOr<PodIdentity>> {
    for (const auto* known : {&memory.good, &memory.bad}) {
      const auto found = known->find(hash);
      if (found == known->end() || HasExpired(found->second.found)) continue;
      if (fresh && Monotonic() >= found->second.fresh_until) continue;
      return found->second.found;
    }
    return std::nullopt;
  });
}

void TokenGate::Remember(const std::string& hash, const absl::StatusOr<PodIdentity>& found) {
  const absl::Duration now = Monotonic();
  memory_.With([&](Memory& memory) {
    memory.good.erase(hash);
    memory.bad.erase(hash);
    auto& known = found.ok() ? memory.good : memory.bad;
    if (known.size() >= options_.max_remembered) {
      absl::erase_if(known, [&](const auto& entry) {
        const Remembered& old = entry.second;
        return old.found.ok() ? HasExpired(old.found) : old.fresh_until <= now;
      });
    }
    if (known.size() >= options_.max_remembered) known.erase(known.begin());
    known.emplace(hash,
                  Remembered{found, now + (found.ok() ? options_.good_for : options_.bad_for)});
  });
}

void TokenGate::Wait(const std::string& hash, std::string token, Done done) {
  const auto [entry, is_new] = pending_.try_emplace(hash);
  Pending& pending = entry->second;
  pending.waiters.push_back({std::move(done), Monotonic()});
  if (!is_new) return;
  pending.token = std::move(token);
  queue_.push_back(hash);
  if (pending_.size() == 1) patience_.Start(kLookEvery);
  VerifyNext();
}

void TokenGate::VerifyNext() {
  if (in_verify_next_) return;  // a verifier that answers at once
  in_verify_next_ = true;
  while (verifying_ < options_.max_at_once && !queue_.empty()) {
    const std::string hash = std::move(queue_.front());
    queue_.pop_front();
    const auto entry = pending_.find(hash);
    if (entry->second.waiters.empty()) {  // nobody is left to be told
      pending_.erase(entry);
      continue;
    }
    ++verifying_;
    const std::string token = std::move(entry->second.token);
    verifier_->Verify(
        token, [self = std::weak_ptr(self_), hash](const absl::StatusOr<PodIdentity>& found) {
          if (const auto gate = self.lock()) (*gate)->OnVerified(hash, found);
        });
  }
  in_verify_next_ = false;
}

void TokenGate::OnVerified(const std::string& hash, const absl::StatusOr<PodIdentity>& found) {
  --verifying_;
  absl::StatusOr<PodIdentity> answer = found;
  if (found.ok() || absl::IsUnauthenticated(found.status())) {
    ++verifieds_[found.ok() ? kGood : kBad];
    last_fault_.clear();
    Remember(hash, found);
  } else {
    ++verifieds_[kFailed];
    if (last_fault_ != Message(found.status())) {
      last_fault_ = Message(found.status());
      log::warn("clients' tokens cannot be verified: {}", last_fault_);
    }
    const auto before = Recall(hash, /*fresh=*/false);
    if (before.has_value() && before->ok()) {
      answer = *before;
    } else {
      answer = absl::UnavailableError("the token cannot be verified now: " +
                                      std::string(Message(found.status())));
    }
  }
  const auto entry = pending_.find(hash);
  const auto waiters = std::move(entry->second.waiters);
  pending_.erase(entry);
  waiting_ -= waiters.size();
  for (const Waiter& waiter : waiters) Answer(answer, waiter.done);
  VerifyNext();
}

void TokenGate::LoseWaiters() {
  const absl::Duration late = Monotonic() - options_.patience;
  std::vector<Waiter> lost;
  for (auto& [hash, pending] : pending_) {
    // The first came first.
    const auto end = std::find_if(pending.waiters.begin(), pending.waiters.end(),
                                  [&](const Waiter& waiter) { return waiter.since > late; });
    std::move(pending.waiters.begin(), end, std::back_inserter(lost));
    pending.waiters.erase(pending.waiters.begin(), end);
  }
  waiting_ -= lost.size();
  for (const Waiter& waiter : lost) {
    Answer(absl::UnavailableError("the token could not be verified in time"), waiter.done);
  }
  if (!pending_.empty()) patience_.Start(kLookEvery);
}

void TokenGate::AddMetrics(MetricFamilies& families) const {
  constexpr std::array<std::string_view, kResults> kResultNames = {
      "accepted", "no_token", "refused", "unavailable", "too_many", "wrong_pod"};
  for (size_t i = 0; i < kResults; ++i) {
    AddCounterSample(families, "portolan_xds_authentications_total",
                     "Streams by what became of the token that they showed.",
                     {{"result", kResultNames[i]}}, static_cast<double>(results_[i]));
  }
  constexpr std::array<std::string_view, kVerifieds> kVerifiedNames = {"good", "bad", "failed"};
  for (size_t i = 0; i < kVerifieds; ++i) {
    AddCounterSample(families, "portolan_xds_token_verifications_total",
                     "Tokens that were not remembered and had to be verified.",
                     {{"result", kVerifiedNames[i]}}, static_cast<double>(verifieds_[i]));
  }
  const auto [good, bad] = memory_.With(
      [](const Memory& memory) { return std::pair(memory.good.size(), memory.bad.size()); });
  constexpr char kRemembered[] = "portolan_xds_tokens_remembered";
  AddGaugeSample(families, kRemembered, "Tokens whose verification is remembered.",
                 {{"result", "good"}}, static_cast<double>(good));
  AddGaugeSample(families, kRemembered, "", {{"result", "bad"}}, static_cast<double>(bad));
  AddGaugeSample(families, "portolan_xds_authentications_waiting",
                 "Streams that wait for their token to be verified.", {},
                 static_cast<double>(waiting_));
}

}  // namespace portolan::xds
