// Lets clients in by the token that they show: remembers what was verified, asks about what was
// not, and bounds how many may wait.
//
// A token that was found good is good until it expires, but is verified again when it is shown
// after five minutes; where that cannot be done just then, what was found before counts. One that
// is not known while nobody can be asked is told to come back (kUnavailable), never let in.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "common/string_map.h"
#include "xds/authentication/token_verifier.h"

namespace portolan::xds {

class TokenGate {
 public:
  struct Options {
    size_t max_waiting = 8192;      // clients
    size_t max_at_once = 64;        // tokens that are being verified
    size_t max_remembered = 32768;  // tokens, good ones and others each
    absl::Duration patience = absl::Seconds(10);
    absl::Duration good_for = absl::Minutes(5);
    absl::Duration bad_for = absl::Seconds(10);
  };
  using Done = std::function<void(const absl::StatusOr<PodIdentity>&)>;

  // `loop` is where tokens are verified, and outlives the gate.
  TokenGate(EventLoop& loop, std::unique_ptr<TokenVerifier> verifier, Options options);
  TokenGate(EventLoop& loop, std::unique_ptr<TokenVerifier> verifier)
      : TokenGate(loop, std::move(verifier), Options()) {}
  TokenGate(const TokenGate&) = delete;
  TokenGate& operator=(const TokenGate&) = delete;

  // Any thread. `authorization` is the value of that header, "Bearer TOKEN", or empty. `done` is
  // called once, before it returns or later on the loop, unless the gate is destroyed before.
  void Admit(std::string_view authorization, Done done);
  // Any thread: a client that was let in then claimed to be another pod.
  void CountWrongPod() { Count(kWrongPod); }
  // Any thread: true once a second at most. Strangers do not fill the log.
  bool MayLog();

  // Any thread.
  void AddMetrics(MetricFamilies& families) const;

 private:
  enum Result { kAccepted, kNoToken, kRefused, kUnavailable, kBusy, kWrongPod, kResults };
  enum Verified { kGood, kBad, kFailed, kVerifieds };
  struct Remembered {
    absl::StatusOr<PodIdentity> found;
    absl::Duration fresh_until;  // as Monotonic() has it
  };
  struct Memory {
    StringMap<Remembered> good;  // by hash
    StringMap<Remembered> bad;
  };
  struct Waiter {
    Done done;
    absl::Duration since;
  };
  struct Pending {
    std::string token;
    std::vector<Waiter> waiters;
  };

  void Count(Result result) { ++results_[result]; }
  std::optional<absl::StatusOr<PodIdentity>> Recall(std::string_view hash, bool fresh) const;
  void Remember(const std::string& hash, const absl::StatusOr<PodIdentity>& found);
  void Answer(const absl::StatusOr<PodIdentity>& found, const Done& done);

  // On the loop.
  void Wait(const std::string& hash, std::string token, Done done);
  void VerifyNext();
  void OnVerified(const std::string& hash, const absl::StatusOr<PodIdentity>& found);
  void LoseWaiters();

  EventLoop& loop_;
  const std::unique_ptr<TokenVerifier> verifier_;
  const Options options_;
  std::array<std::atomic<uint64_t>, kResults> results_{};
  std::array<std::atomic<uint64_t>, kVerifieds> verifieds_{};
  std::atomic<size_t> waiting_{0};
  std::atomic<int64_t> next_log_ms_{0};  // as Monotonic() has it
  Guarded<Memory> memory_;

  StringMap<Pending> pending_;     // by hash
  std::deque<std::string> queue_;  // of those that are not being verified yet
  size_t verifying_ = 0;
  bool in_verify_next_ = false;
  std::string last_fault_;  // as logged
  EventLoop::Timer patience_;
  // Calls that the verifier and the loop still hold have a weak reference.
  const std::shared_ptr<TokenGate*> self_ = std::make_shared<TokenGate*>(this);
};

}  // namespace portolan::xds
