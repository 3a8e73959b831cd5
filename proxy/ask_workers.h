// Asks all workers the same and gathers what they say. The main thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "proxy/worker.h"

namespace portolan::proxy {

// ask(worker, take) has take(T) called on the worker's thread, once; `done` is called on `loop`
// with what all of them said, in no order. `loop` and `workers` stay.
template <typename T, typename F>
void AskWorkers(EventLoop& loop, const std::vector<std::unique_ptr<Worker>>& workers, F&& ask,
                std::function<void(std::vector<T>)> done) {
  auto said = std::make_shared<std::vector<T>>();
  for (const auto& worker : workers) {
    ask(*worker, [&loop, &workers, said, done](T one) {
      loop.Post([&workers, said, done, one = std::move(one)]() mutable {
        said->push_back(std::move(one));
        if (said->size() == workers.size()) done(std::move(*said));
      });
    });
  }
}

}  // namespace portolan::proxy
