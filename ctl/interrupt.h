// Ctrl-C for commands that run until it comes: from the first call on, SIGINT and SIGTERM end
// nothing by themselves. One thread.
#pragma once

#include "absl/time/time.h"

namespace portolan::ctl {

// Becomes readable once the signal has come, and stays so.
int InterruptFd();
// Whether it has come, or comes within so long; false as long as InterruptFd was never called.
bool Interrupted(absl::Duration within = absl::ZeroDuration());

}  // namespace portolan::ctl
