#include "common/event_loop.h"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace portolan {
namespace {

void RunTask(evutil_socket_t, short, void* task) { (*static_cast<EventLoop::Task*>(task))(); }

timeval NotNegative(absl::Duration d) { return absl::ToTimeval(std::max(d, absl::ZeroDuration())); }

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

void EventLoop::EventDeleter::operator()(event* e) const { event_free(e); }
void EventLoop::BaseDeleter::operator()(event_base* base) const { event_base_free(base); }

void EventLoop::Watch::Enable() { event_add(event_.get(), nullptr); }
void EventLoop::Watch::Disable() { event_del(event_.get()); }

void EventLoop::Timer::Start(absl::Duration delay) {
  const timeval tv = NotNegative(delay);
  event_add(event_.get(), &tv);
}
void EventLoop::Timer::Cancel() { event_del(event_.get()); }

EventLoop::EventLoop() {
  event_config* config = event_config_new();
  // Without this libevent rounds timers to the coarse clock's tick, some 4 ms.
  event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  base_.reset(event_base_new_with_config(config));
  event_config_free(config);
  if (base_ == nullptr) Die("event_base_new");
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) Die("eventfd");
  wake_ = AddWatch(wake_fd_, Interest::kRead, [this] { RunPosted(); });
}

EventLoop::~EventLoop() {
  wake_ = Watch();
  close(wake_fd_);
}

EventLoop::Watch EventLoop::AddWatch(int fd, Interest interest, Task on_ready) {
  Watch watch;
  watch.task_ = std::make_unique<Task>(std::move(on_ready));
  const short what = interest == Interest::kRead ? EV_READ : EV_WRITE;
  watch.event_.reset(event_new(base_.get(), fd, static_cast<short>(what | EV_PERSIST), RunTask,
                               watch.task_.get()));
  watch.Enable();
  return watch;
}

EventLoop::Timer EventLoop::AddTimer(Task on_fire) {
  Timer timer;
  timer.task_ = std::make_unique<Task>(std::move(on_fire));
  timer.event_.reset(evtimer_new(base_.get(), RunTask, timer.task_.get()));
  return timer;
}

EventLoop::Watch EventLoop::AddSignal(int signal, Task on_signal) {
  Watch watch;
  watch.task_ = std::make_unique<Task>(std::move(on_signal));
  watch.event_.reset(evsignal_new(base_.get(), signal, RunTask, watch.task_.get()));
  watch.Enable();
  return watch;
}

void EventLoop::Run() {
  // Sockets that are ready come in any order with the wake-up: what a query needs must be there.
  RunPosted();
  if (!stopped_) event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY);
  stopped_ = false;
}

void EventLoop::Post(Task task) {
  const bool first = posted_.With([&](auto& tasks) {
    tasks.push_back(std::move(task));
    return tasks.size() == 1;
  });
  // Whoever posted the first has woken the loop, which takes them all at once.
  if (!first) return;
  const uint64_t one = 1;
  // Fails only when the counter is full, and then a wake-up is already due.
  [[maybe_unused]] ssize_t n = write(wake_fd_, &one, sizeof one);
}

void EventLoop::Stop() {
  Post([this] {
    stopped_ = true;
    event_base_loopbreak(base_.get());
  });
}

void EventLoop::RunPosted() {
  uint64_t count;
  [[maybe_unused]] ssize_t n = read(wake_fd_, &count, sizeof count);
  std::vector<Task> tasks;
  posted_.With([&](auto& posted) { tasks.swap(posted); });
  for (Task& task : tasks) task();
}

}  // namespace portolan
