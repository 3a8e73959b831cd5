// Finds servers that lead back to us: each is asked for a name that nobody else can know, and where
// that question arrives here, the server is one. It is then not asked until a probe no longer comes
// back. What the directive `loop` stands on.
//
// The name is NONCE.SERVER.ZONE, both labels of 16 hexadecimal digits, type HINFO (as CoreDNS's
// plugin/loop). NONCE is new each time, lest a cache answer; SERVER is secret and tells which.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/resolv_conf.h"
#include "dns/upstream/attempt.h"
#include "dns/upstream/message.h"
#include "dns/wire/name.h"

namespace portolan::dns::upstream {

class Server;

struct LoopTiming {
  absl::Duration every = absl::Seconds(30);
  // While the server leads back, and the least time between two probes.
  absl::Duration often = absl::Seconds(5);
};

// What all workers know of the servers of one `forward`. Any thread.
class LoopWatch {
 public:
  // Probes ask for names below `zone`, which is one that the `forward` passes on.
  explicit LoopWatch(const wire::Zone& zone, LoopTiming timing = {},
                     const RandomSource& random = KernelRandom);

  enum class Seen : uint8_t { kNotOurs, kKnown, kNew };
  // A question has come in. kKnown, kNew: it is a probe, so its server leads back.
  Seen Recognise(const wire::Query& query);

  bool leads_back(size_t place) const { return servers_[place].leads_back; }

  // True if no worker has sent a probe to server number `place` for some nine tenths of `gap`: the
  // caller is to send one. So all workers together send what one would.
  bool ClaimProbe(size_t place, absl::Duration gap);
  // A probe to be sent now to server number `place`.
  void WriteProbe(size_t place, Random& random, Request& out) const;
  // A probe sent at `sent` has ended or is given up. True if that clears the server: the probe has
  // not come back.
  bool OnProbeEnded(size_t place, Clock::time_point sent);
  // True once after a server is found to lead back: for the log.
  bool TakeNews(size_t place) { return servers_[place].news.exchange(false); }

  const LoopTiming& timing() const { return timing_; }

 private:
  static constexpr size_t kDigits = 16;

  struct State {
    std::atomic<bool> leads_back{false};
    std::atomic<bool> news{false};
    std::atomic<Clock::rep> seen_at{0};
    std::atomic<Clock::rep> sent_at{0};
  };

  const std::string zone_;  // wire form
  const LoopTiming timing_;
  uint64_t secret_ = 0;  // its last byte is the server's number
  std::array<State, kMaxNameservers> servers_;
};

// Probes one server of one worker: at the start, at an interval, and when questions go unanswered.
class LoopProbe final : public AttemptListener {
 public:
  // `server` outlives this.
  LoopProbe(Context& context, std::shared_ptr<LoopWatch> watch, size_t place, Server& server);

  void OnUnanswered();
  bool leads_back() const { return watch_->leads_back(place_); }

  void OnReply(Attempt& attempt, const Reply& reply) override;
  void OnFailure(Attempt& attempt, AttemptError error) override;

 private:
  void Probe();
  void End();

  Context& context_;
  const std::shared_ptr<LoopWatch> watch_;
  const size_t place_;
  Server& server_;
  Request question_;
  Attempt attempt_;
  EventLoop::Timer timer_;
  Clock::time_point sent_;
  bool soon_ = false;  // a question went unanswered since the last probe
};

}  // namespace portolan::dns::upstream
