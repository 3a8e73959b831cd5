#include "dns/server/walk.h"

#include "dns/server/alias.h"

namespace portolan::dns {
namespace {

// As in CoreDNS the target may be in another server block than the alias. A target that is an alias
// once more is not followed further: that is how a circle ends.
Verdict FollowAlias(const Routes& routes, RoutePath& path, Exchange& exchange) {
  if (path.aside != nullptr || !BeginAlias(exchange)) return Verdict::kAnswered;
  const Route* next = routes.Find(exchange.query());
  path = {next == nullptr ? path.route : next, path.route};
  return next == nullptr ? Verdict::kDropped : Verdict::kNext;
}

// The reply for the target, or none, becomes part of the reply with the alias.
void TakeUpAlias(RoutePath& path, Exchange& exchange) {
  EndAlias(exchange);
  path = {path.aside, nullptr};
}

}  // namespace

Verdict Walk(const Routes& routes, RoutePath& path, Exchange& exchange, Verdict said) {
  while (true) {
    const Chain& chain = *path.route->to.chain;
    switch (said) {
      case Verdict::kNext:
        said = chain.Down(exchange);
        break;
      case Verdict::kAlias:
        said = FollowAlias(routes, path, exchange);
        break;
      case Verdict::kAnswered:
        if (chain.Up(exchange) == After::kAskBelow) {
          said = Verdict::kNext;
          break;
        }
        if (path.aside == nullptr) return Verdict::kAnswered;
        TakeUpAlias(path, exchange);
        break;
      case Verdict::kDropped:
        if (path.aside == nullptr) return Verdict::kDropped;
        exchange.set_reply_bytes(0);
        TakeUpAlias(path, exchange);
        said = Verdict::kAnswered;
        break;
      case Verdict::kPending:
      case Verdict::kStream:
        return said;
    }
  }
}

}  // namespace portolan::dns
