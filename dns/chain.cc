#include <utility>

#include <nlohmann/json.hpp>

#include "dns/plugin.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

// Asked of each link anew: `rewrite` may change the class on the way.
bool Takes(const Plugin& link, const Exchange& exchange) {
  return exchange.query().qclass == wire::kClassIn || link.TakesChaos();
}

}  // namespace

nlohmann::json Plugin::Explain(const Exchange&) const { return nullptr; }
nlohmann::json Plugin::ExplainReply(const Exchange&) const { return nullptr; }

Chain::Chain(std::vector<std::unique_ptr<Plugin>> links, std::vector<std::string> written_at)
    : links_(std::move(links)), written_at_(std::move(written_at)) {
  written_at_.resize(links_.size());
  for (const auto& link : links_) {
    if (link->LooksAhead()) looking_ahead_.push_back(link.get());
  }
}

Verdict Chain::Down(Exchange& exchange) const {
  for (size_t i = exchange.depth(); i < links_.size(); ++i) {
    if (!Takes(*links_[i], exchange)) continue;
    // Before the link sees it: a suspended exchange is moved with the depth it has then.
    exchange.set_depth(i + 1);
    exchange.set_answered_at(i + 1);
    const Verdict verdict = links_[i]->OnQuery(exchange);
    if (verdict != Verdict::kNext) return verdict;
  }
  exchange.set_depth(links_.size());
  exchange.set_answered_at(0);
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kRefused));
  return Verdict::kAnswered;
}

After Chain::Up(Exchange& exchange) const {
  for (size_t i = exchange.depth(); i > exchange.floor(); --i) {
    if (!Takes(*links_[i - 1], exchange)) continue;
    exchange.set_depth(i);
    if (links_[i - 1]->OnReply(exchange) == After::kAskBelow) return After::kAskBelow;
  }
  return After::kReply;
}

Verdict Chain::Run(Exchange& exchange) const {
  Verdict verdict = Down(exchange);
  while (verdict == Verdict::kAnswered && Up(exchange) == After::kAskBelow) {
    verdict = Down(exchange);
  }
  return verdict;
}

}  // namespace portolan::dns
