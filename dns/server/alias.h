// What a resolver would do with a CNAME that leads out of the cluster: glibc and musl do not, they
// take the addresses that stand in the reply (an ExternalName Service, Verdict::kAlias).
//
// The reply with the CNAME is set aside and the same type is asked of the CNAME's target, of the
// chain that serves its zone, as any question: it may be suspended. EndAlias then puts the answer
// behind the CNAME. As CoreDNS's kubernetes plugin (plugin/backend_lookup.go) the reply is NOERROR
// with AA whatever became of the target: where the upstream says NXDOMAIN or SERVFAIL, is silent or
// sends what cannot be read, it is the CNAME alone. TC is passed on.
//
// Of the upstream's bytes only records of the chain that begins at the target are taken, in order:
// class IN, CNAME or the type asked, owned by the name that the CNAME before led to. Their names
// are written anew, so that no compression pointer of theirs is in the reply. Its authority and
// additional sections are left out. Nothing allocates. The worker's thread only.
#pragma once

#include "dns/exchange.h"

namespace portolan::dns {

// Sets exchange.reply() aside and makes the name that the last CNAME of the answer leads to the
// exchange's question, of the type that was asked. False, and nothing is changed, if there is none,
// if the reply is cut short or if the room is too small.
bool BeginAlias(Exchange& exchange);

// The reply in the exchange answers the target, or is empty. Afterwards the exchange is as its
// links left it, with the longer reply; it counts as local.
void EndAlias(Exchange& exchange);

}  // namespace portolan::dns
