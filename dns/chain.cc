#include "dns/plugin.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

Verdict Chain::Run(Exchange& exchange) const {
  for (size_t i = 0; i < links_.size(); ++i) {
    // Before the link sees it: a suspended exchange is moved with the depth it has then.
    exchange.set_depth(i + 1);
    const Verdict verdict = links_[i]->OnQuery(exchange);
    if (verdict == Verdict::kNext) continue;
    if (verdict == Verdict::kAnswered) Return(exchange);
    return verdict;
  }
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kRefused));
  Return(exchange);
  return Verdict::kAnswered;
}

void Chain::Return(Exchange& exchange) const {
  for (size_t i = exchange.depth(); i > 0; --i) links_[i - 1]->OnReply(exchange);
}

}  // namespace portolan::dns
