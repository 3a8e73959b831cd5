// What the kernel tells of the forwarder's connected sockets, edge-triggered: once for each change,
// for reading and writing alike, so that interest never has to be changed.
//
// An epoll of its own inside the worker's loop. libevent tells an error as "readable and writable"
// and does not tell an end of stream at all, so that each event would be followed by questions to
// the socket; and it takes a descriptor out of its epoll before it is closed, which closing does by
// itself. With connections that live for one exchange that is a sixth of what they cost. On the
// worker's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/fd.h"

namespace portolan::proxy {

class SocketEvents {
 public:
  // `tag` is what was given to Add; `events` are EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP,
  // EPOLLHUP and EPOLLERR, see epoll_ctl(2). Events that were fetched together are told also when
  // an earlier one led to the closing of the socket: the tag must live on until the loop's next
  // turn.
  using OnEvents = std::function<void(void* tag, uint32_t events)>;

  static absl::StatusOr<std::unique_ptr<SocketEvents>> Open(EventLoop& loop, OnEvents on_events);

  // Until `fd` is closed; its state now is told as the first event. False: the kernel has no
  // memory.
  bool Add(int fd, void* tag);

 private:
  SocketEvents() = default;

  void Fetch();

  Fd epoll_;
  OnEvents on_events_;
  EventLoop::Watch watch_;
};

}  // namespace portolan::proxy
