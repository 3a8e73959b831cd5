// A value that can only be reached with its lock held.
//
// std::mutex and not absl::Mutex: ThreadSanitizer does not see the locks of Debian's abseil and
// would report races that are none. Not for the data path, which has no locks at all.
#pragma once

#include <mutex>
#include <utility>

namespace portolan {

template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // Calls `use(T&)` with the lock held and returns what it returns. Not recursive.
  template <typename F>
  decltype(auto) With(F&& use) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(value_);
  }

  template <typename F>
  decltype(auto) With(F&& use) const {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(std::as_const(value_));
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace portolan
