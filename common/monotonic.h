// Time for ages and deadlines. Any thread.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace portolan {

// Since some moment in the past. Setting the wall clock does not move it.
inline absl::Duration Monotonic() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace portolan
