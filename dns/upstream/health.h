// Whether one server answers. The first question that it leaves unanswered (for the hedge delay, or
// by an error) puts it behind the others; it is then asked a question of our own at an interval,
// the first at once, until it answers, with whatever rcode. After `max_fails` of those in a row it
// is down. CoreDNS, plugin/forward/README.md (health_check, max_fails).
//
// One worker's loop; counters are read from anywhere.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "dns/upstream/attempt.h"
#include "dns/upstream/message.h"

namespace portolan::dns::upstream {

class Server;

struct HealthOptions {
  // At least kMinInterval. A probe waits two intervals for its answer.
  absl::Duration interval = absl::Milliseconds(500);
  bool recursion_desired = true;
  std::string domain{'\0'};  // wire form, lower case; the question is for NS
  int max_fails = 2;         // 0: neither put behind nor probed
};

class Health final : public AttemptListener {
 public:
  static constexpr absl::Duration kMinInterval = absl::Milliseconds(10);

  // `server` outlives this.
  Health(Context& context, const HealthOptions& options, Server& server);

  void OnAnswered();
  void OnUnanswered();

  // A question went unanswered and no probe was answered since.
  bool avoided() const { return probing_; }
  bool down() const { return max_fails_ != 0 && failed_in_a_row_ >= max_fails_; }

  const Counter& failed_probes() const { return failed_probes_; }

  void OnReply(Attempt& attempt, const Reply& reply) override;
  void OnFailure(Attempt& attempt, AttemptError error) override;

 private:
  void Probe();
  void CountFailure();

  Server& server_;
  const absl::Duration interval_;
  const int max_fails_;
  Request question_;
  // In turns, so that each has two intervals' time.
  std::array<Attempt, 2> attempts_;
  size_t next_ = 0;
  EventLoop::Timer timer_;
  bool probing_ = false;
  int failed_in_a_row_ = 0;
  Counter failed_probes_;
};

}  // namespace portolan::dns::upstream
