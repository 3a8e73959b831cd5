#include "proxy/forwarder/socket_events.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "common/status.h"

namespace portolan::proxy {
namespace {

// Fetched in one turn; what is left keeps the epoll readable, so that the loop comes again.
constexpr int kEventsAtOnce = 128;

}  // namespace

absl::StatusOr<std::unique_ptr<SocketEvents>> SocketEvents::Open(EventLoop& loop,
                                                                 OnEvents on_events) {
  auto events = std::unique_ptr<SocketEvents>(new SocketEvents());
  events->epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!events->epoll_.valid()) return ErrnoError(errno, "forwarder: epoll_create1");
  events->on_events_ = std::move(on_events);
  events->watch_ = loop.AddWatch(events->epoll_.get(), EventLoop::Interest::kRead,
                                 [self = events.get()] { self->Fetch(); });
  return events;
}

bool SocketEvents::Add(int fd, void* tag) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
                    .data = {.ptr = tag}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void SocketEvents::Fetch() {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) on_events_(events[i].data.ptr, events[i].events);
}

}  // namespace portolan::proxy
