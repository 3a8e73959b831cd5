// Remembers for seconds what was found out at some cost, and asks once where many want to know.
//
// An answer that is no error is good for Options::good_for; kUnauthenticated and kPermissionDenied
// for bad_for; any other error is passed on and forgotten. Bounded in what is remembered and in who
// waits. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/monotonic.h"
#include "common/string_map.h"

namespace portolan::xds {

struct RememberOptions {
  size_t max_remembered = 1000;
  size_t max_waiting = 256;
  absl::Duration good_for = absl::Seconds(10);
  absl::Duration bad_for = absl::Seconds(5);
};

template <typename Value>
class RememberedAnswers {
 public:
  using Answer = absl::StatusOr<Value>;
  using Done = std::function<void(const Answer&)>;
  using Ask = std::function<void(Done)>;

  explicit RememberedAnswers(RememberOptions options = {}) : options_(options) {}
  RememberedAnswers(const RememberedAnswers&) = delete;
  RememberedAnswers& operator=(const RememberedAnswers&) = delete;

  // Calls `done` once, before it returns or later; never once this is destroyed. `ask` is called if
  // the answer to `key` is not remembered and nobody is finding it out. kUnavailable: too many
  // wait.
  void Get(const std::string& key, const Ask& ask, Done done) {
    const auto known = known_.find(key);
    if (known != known_.end() && Monotonic() < known->second.until) {
      const Answer answer = known->second.answer;
      return done(answer);
    }
    if (waiting_ >= options_.max_waiting) {
      return done(absl::UnavailableError("too many wait for the API server's word"));
    }
    ++waiting_;
    std::vector<Done>& waiters = waiters_[key];
    waiters.push_back(std::move(done));
    if (waiters.size() > 1) return;
    ask([weak = std::weak_ptr(self_), key](const Answer& answer) {
      if (const auto self = weak.lock()) (*self)->OnAnswer(key, answer);
    });
  }

  size_t remembered() const { return known_.size(); }

 private:
  struct Known {
    Answer answer;
    absl::Duration until;  // as Monotonic() has it
  };

  void OnAnswer(const std::string& key, const Answer& answer) {
    Remember(key, answer);
    const std::vector<Done> waiters = std::move(waiters_[key]);
    waiters_.erase(key);
    waiting_ -= waiters.size();
    for (const Done& done : waiters) done(answer);
  }

  void Remember(const std::string& key, const Answer& answer) {
    known_.erase(key);
    const bool bad =
        absl::IsUnauthenticated(answer.status()) || absl::IsPermissionDenied(answer.status());
    if (!answer.ok() && !bad) return;
    const absl::Duration now = Monotonic();
    if (known_.size() >= options_.max_remembered) {
      absl::erase_if(known_, [now](const auto& each) { return each.second.until <= now; });
    }
    if (known_.size() >= options_.max_remembered) known_.erase(known_.begin());
    known_.emplace(key, Known{answer, now + (bad ? options_.bad_for : options_.good_for)});
  }

  const RememberOptions options_;
  StringMap<Known> known_;
  StringMap<std::vector<Done>> waiters_;
  size_t waiting_ = 0;
  const std::shared_ptr<RememberedAnswers*> self_ = std::make_shared<RememberedAnswers*>(this);
};

}  // namespace portolan::xds
