// The right to answer one request, once: now, or later from the same loop.
//
// The loop's thread only. Copies share the right; the first Send or Begin counts. When the last
// copy goes without either, the peer gets a 500, so that no path through a handler leaves a client
// waiting. Sending to a peer that is gone does nothing.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "common/http/message.h"
#include "common/http/stream.h"

namespace portolan::http {

class Responder {
 public:
  // Who carries the answer.
  class Carrier {
   public:
    virtual ~Carrier() = default;
    virtual void Send(const Response& response) = 0;
    virtual Stream Begin(const Response& head, std::function<void()> on_gone) = 0;
  };

  explicit Responder(std::unique_ptr<Carrier> carrier)
      : pending_(std::make_shared<Pending>(std::move(carrier))) {}

  void Send(const Response& response) { pending_->Send(response); }

  // An answer whose body is sent piece by piece (stream.h); `head.body` is its first piece.
  // `on_gone` is called from the loop, once, if the stream ends otherwise than by Stream::End: the
  // peer has gone, the server leaves or needs the connection for others. It may destroy the stream.
  // A HEAD request is answered now, and a peer that is gone already gets nothing: then the stream
  // is not open, and `on_gone` is not called.
  Stream Begin(const Response& head, std::function<void()> on_gone) {
    return pending_->Begin(head, std::move(on_gone));
  }

 private:
  struct Pending {
    explicit Pending(std::unique_ptr<Carrier> to) : carrier(std::move(to)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { Send(TextResponse(500, "the handler gave no answer")); }

    void Send(const Response& response) {
      if (const auto to = std::exchange(carrier, nullptr)) to->Send(response);
    }
    Stream Begin(const Response& head, std::function<void()> on_gone) {
      const auto to = std::exchange(carrier, nullptr);
      return to == nullptr ? Stream() : to->Begin(head, std::move(on_gone));
    }

    std::unique_ptr<Carrier> carrier;
  };

  std::shared_ptr<Pending> pending_;
};

}  // namespace portolan::http
