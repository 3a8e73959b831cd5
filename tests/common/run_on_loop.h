// For tests that ask things of a loop that runs on a thread of its own.
#pragma once

#include <future>
#include <memory>
#include <utility>

#include "common/event_loop.h"

namespace portolan {

// Runs `f` on the loop's thread and gives what it returns. REQUIRES: the loop runs.
template <typename F>
auto RunOnLoop(EventLoop& loop, F f) {
  // Shared: the result is there a moment before the task's own end.
  auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
  auto result = task->get_future();
  loop.Post([task] { (*task)(); });
  return result.get();
}

}  // namespace portolan
