// Who is told of every reply, as for a report of what a pod asks for.
#pragma once

#include "dns/exchange.h"

namespace portolan::dns {

class ReplyObserver {
 public:
  virtual ~ReplyObserver() = default;
  // The reply to a client's question, about to be sent. Part of the cost of each query; the
  // worker's thread.
  virtual void OnReply(const Exchange& exchange) = 0;
};

}  // namespace portolan::dns
