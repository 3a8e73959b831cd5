// One thread's event loop: descriptors, timers and tasks posted from elsewhere. A wrapper of
// libevent's event_base that makes lifetimes explicit.
//
// Every method but Post and Stop is called on the loop's own thread (or before Run). Handles
// unregister what they stand for when destroyed. Callbacks must not throw.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/guarded.h"

struct event;
struct event_base;

namespace portolan {

class EventLoop {
 public:
  using Task = std::function<void()>;
  struct EventDeleter {
    void operator()(event* e) const;
  };

  // Readiness of a descriptor, level-triggered. The descriptor stays the caller's; destroy the
  // watch before closing it.
  enum class Interest { kRead, kWrite };
  class Watch {
   public:
    void Enable();
    void Disable();

   private:
    friend class EventLoop;
    std::unique_ptr<Task> task_;
    std::unique_ptr<event, EventDeleter> event_;
  };

  // A one-shot timer that can be set again. Monotonic clock.
  class Timer {
   public:
    // Fires once, `delay` from now; replaces an earlier setting.
    void Start(absl::Duration delay);
    void Cancel();

   private:
    friend class EventLoop;
    std::unique_ptr<Task> task_;
    std::unique_ptr<event, EventDeleter> event_;
  };

  // Aborts the process when the kernel gives no descriptors for a loop: nothing can work then.
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Enabled from the start.
  Watch AddWatch(int fd, Interest interest, Task on_ready);
  Timer AddTimer(Task on_fire);
  // Calls `on_signal` on the loop when the process gets `signal`. One loop of a process may do
  // this.
  Watch AddSignal(int signal, Task on_signal);

  // Runs until Stop. Tasks posted before Run are run first.
  void Run();

  // Any thread. Tasks run in the order posted, on the loop's thread; a task posted after Stop is
  // destroyed without being run. Takes a lock: for control, not for packets.
  void Post(Task task);
  void Stop();

  // For code that speaks libevent itself (evbuffer, nghttp2 sessions).
  event_base* base() { return base_.get(); }

 private:
  struct BaseDeleter {
    void operator()(event_base* base) const;
  };

  void RunPosted();

  std::unique_ptr<event_base, BaseDeleter> base_;
  Guarded<std::vector<Task>> posted_;
  int wake_fd_ = -1;
  bool stopped_ = false;  // of the loop's thread
  Watch wake_;
};

}  // namespace portolan
