// The right to answer one request, once: now, or later from the same loop.
//
// The loop's thread only. Copies share the right; the first Send counts. When the last copy goes
// without having sent, the peer gets a 500, so that no path through a handler leaves a client
// waiting. Sending to a peer that is gone does nothing.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "common/http/message.h"

namespace portolan::http {

class Responder {
 public:
  using Deliver = std::function<void(const Response&)>;

  explicit Responder(Deliver deliver) : pending_(std::make_shared<Pending>(std::move(deliver))) {}

  void Send(const Response& response) { pending_->Send(response); }

 private:
  struct Pending {
    explicit Pending(Deliver to) : deliver(std::move(to)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { Send(TextResponse(500, "the handler gave no answer")); }

    void Send(const Response& response) {
      if (const Deliver to = std::exchange(deliver, nullptr)) to(response);
    }

    Deliver deliver;
  };

  std::shared_ptr<Pending> pending_;
};

}  // namespace portolan::http
