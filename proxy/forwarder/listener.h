// One listening TCP socket of a worker. All workers listen on the same address (SO_REUSEPORT), the
// kernel spreads connections over them. On the worker's thread.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"

namespace portolan::proxy {

class Listener {
 public:
  using OnReady = std::function<void(Listener&)>;

  // kTransparent: TPROXY may give it connections to whatever address (transparent.h); opening it
  // takes CAP_NET_RAW.
  enum class Kind { kPlain, kTransparent };

  // Listens at once; `on_ready` is called on the loop while connections wait. Port 0 lets the
  // kernel choose one. Errors name the address.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(EventLoop& loop,
                                                        const SocketAddress& address, Kind kind,
                                                        OnReady on_ready);

  // With the port that the kernel chose.
  const SocketAddress& address() const { return address_; }

  enum class Outcome {
    kAccepted,
    kAborted,  // one that was waiting is gone again; ask for the next
    kNoneWaiting,
    kNoDescriptor,  // the process, the system, or the kernel's memory is at its limit
  };
  // Non-blocking, close-on-exec, with TCP_NODELAY.
  Outcome Accept(Fd& connection, SocketAddress& client);

  void Pause() { watch_.Disable(); }
  void Resume() { watch_.Enable(); }

 private:
  Listener() = default;

  Fd fd_;
  SocketAddress address_;
  EventLoop::Watch watch_;
};

}  // namespace portolan::proxy
