// Writes the status of each DNSEgressPolicy into the object: whether it was accepted, and how many
// sidecars enforce it.
//
// Any number of replicas do so and none is elected. Each works out the same status from what all
// of them know, at a moment of its own, and writes it where the object holds another; so the first
// writes and the others find it written. What an object holds is what the watch said last
// (ObjectObserver). A write carries that version: one that was overtaken is refused (409) and
// nothing more is done before the watch says what became of the object. Of one object no two
// writes follow within Options::between_writes.
//
// A write that is denied (403) is logged and tried again a minute later: it may be that object
// alone, as a webhook has it. After several in a row nothing is written for that minute, as then it
// is the role that lacks patch of dnsegresspolicies/status. On the loop's thread.
#pragma once

#include <array>
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
#include "common/kubernetes/api_call.h"
#include "common/metrics.h"
#include "common/string_map.h"
#include "xds/policy_status/policy_status.h"
#include "xds/sources/kubernetes/followed_kind.h"

namespace portolan::xds {

class PolicyStatusWriter : public ObjectObserver {
 public:
  struct Options {
    // From a change of an object to the look at all of them: anything between.
    absl::Duration min_delay = absl::Seconds(1);
    absl::Duration max_delay = absl::Seconds(10);
    absl::Duration between_writes = absl::Seconds(10);
    // Between two looks with no change of an object, for what changed of pods and sidecars.
    absl::Duration min_idle = absl::Seconds(10);
    absl::Duration max_idle = absl::Seconds(20);
    absl::Duration denied_for = absl::Minutes(1);
  };

  // At the same time; API servers hold back who asks for much at once.
  static constexpr size_t kMostWrites = 4;
  static constexpr int kDenialsUntilPause = 8;

  // The sum over all replicas; nothing where one of them did not say. `done` is called once, before
  // it returns or later on the loop.
  using Counted = std::function<void(const std::optional<EnforcementByPolicy>&)>;
  using CountAll = std::function<void(Counted done)>;

  // `loop` and `client` outlive it.
  PolicyStatusWriter(EventLoop& loop, ApiClient& client, Options options, CountAll count);
  PolicyStatusWriter(const PolicyStatusWriter&) = delete;
  PolicyStatusWriter& operator=(const PolicyStatusWriter&) = delete;

  void OnRead(const Field& object, const FieldErrors& errors) override;
  void OnGone(std::string_view key) override;

  void AddMetrics(MetricFamilies& families) const;

 private:
  enum Outcome : uint8_t { kWritten, kConflict, kForbidden, kGone, kFailed, kOutcomes };
  struct Held {
    WatchedPolicy policy;
    absl::Duration not_before = -absl::InfiniteDuration();  // Monotonic: the next write
    std::string refused_version = {};  // another replica was first to write to this one
  };
  struct Writing {
    explicit Writing(ApiClient& client) : call(client) {}
    ApiCall call;
    std::string key = {};  // empty: idle
  };

  void LookWithin(absl::Duration min, absl::Duration max);
  void Look();
  void QueueAll();
  void OnCounted(const std::optional<EnforcementByPolicy>& counts);
  bool IsBeingWritten(std::string_view key) const;
  void WriteNext(Writing& writing);
  void Write(Writing& writing, const Held& held, const PolicyStatus& status);
  void OnAnswer(Writing& writing, const absl::StatusOr<std::string>& body);
  void OnDenied(std::string_view key);
  void Count(Outcome outcome) { outcomes_[outcome].Add(); }

  const Options options_;
  const CountAll count_;
  StringMap<Held> policies_;  // by "namespace/name"
  std::optional<EnforcementByPolicy> counts_;
  bool counting_ = false;
  std::deque<std::string> to_look_at_;  // keys, of this look
  std::vector<std::unique_ptr<Writing>> writing_;
  int denials_ = 0;                                          // in a row, of one look
  absl::Duration paused_until_ = -absl::InfiniteDuration();  // Monotonic
  std::optional<Outcome> logged_;                            // since the last that was written
  std::array<Counter, kOutcomes> outcomes_;
  absl::Duration due_ = absl::InfiniteDuration();  // Monotonic: the timer
  EventLoop::Timer timer_;
  // A count that is under way holds a weak one.
  const std::shared_ptr<PolicyStatusWriter*> self_ = std::make_shared<PolicyStatusWriter*>(this);
};

}  // namespace portolan::xds
