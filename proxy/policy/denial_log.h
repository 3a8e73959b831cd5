// A line of the log for one in so many of what policy denies, and no more than ten a second:
//
//   policy denied TCP 10.42.0.7:40312 -> 10.43.0.9:5432 (default/db, endpoint 10.42.3.4:5432):
//   isolated by NetworkPolicy/default/web; rule 1 of it allows 10.42.3.4 at TCP 5433, not 5432
//   policy denied TCP inbound 10.42.1.3:51820 -> 10.42.0.7:8080: isolated by
//   NetworkPolicy/default/web
//   policy would have denied the name api.example.com to 10.42.0.7: ...
//
// One per sidecar. Any thread asks whether its denial is to be told, without a lock or an
// allocation; the few that are cost one, and the line is made on the main loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "proxy/policy/denial.h"

namespace portolan::proxy {

class DenialLog {
 public:
  static constexpr uint64_t kMostPerSecond = 10;

  // One in `sample`; 0: none. `main` is the loop whose thread writes; outlives all who ask.
  DenialLog(EventLoop& main, uint32_t sample) : main_(main), sample_(sample) {}

  // Whether the denial at `now` (monotonic) is to be told. Counts it.
  bool Takes(absl::Duration now);
  void Write(Denial denial);

 private:
  EventLoop& main_;
  const uint32_t sample_;
  std::atomic<uint64_t> seen_{0};
  // The second in which the last was told, and in the low byte how many were told in it.
  std::atomic<uint64_t> told_{0};
};

// The line. Off the data path.
std::string DenialLine(const Denial& denial);

}  // namespace portolan::proxy
