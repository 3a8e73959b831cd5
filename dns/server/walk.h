// Takes an exchange through the chains that answer it, from wherever it is to a reply: down the
// links of its server block, up again, down once more where a link asks something else, and through
// the chain of an alias's target. What the listener begins at once and a slot goes on with later.
// The worker's thread only.
#pragma once

#include "dns/exchange.h"
#include "dns/plugin.h"
#include "dns/server/routes.h"

namespace portolan::dns {

// Whose chains the exchange is in.
struct RoutePath {
  const Route* route = nullptr;  // of the question that is asked
  // Of the question whose reply, which ends in an alias, is aside; else null.
  const Route* aside = nullptr;
};

// `said` is what the link at exchange.depth() said: kNext to begin. Returns kAnswered (the reply is
// in the exchange, and `path.route` the client's), kStream, kDropped or kPending. After kPending
// neither the exchange nor `path` may be used: they may be gone. `routes` must stay.
Verdict Walk(const Routes& routes, RoutePath& path, Exchange& exchange, Verdict said);

}  // namespace portolan::dns
