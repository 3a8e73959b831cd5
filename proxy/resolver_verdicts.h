// Whether the pod may ask DNS at all, as rules by address have it: a policy that does not let it
// reach its resolvers forbids DNS, as it would without a sidecar. Pure; any thread.
#pragma once

#include <vector>

#include "common/ip.h"
#include "dns/dialled_instead.h"
#include "policy/egress_rules.h"
#include "proxy/forwarder/routes.h"

namespace portolan::proxy {

struct ResolverVerdicts {
  EgressRules::Verdict udp;
  EgressRules::Verdict tcp;
};

// For a question over UDP and over TCP: the best verdict of any nameserver of its resolv.conf. It
// is judged where it is dialled: by the eligible endpoints of the Service that has its address,
// else by `instead`, else as it is. Denied where there are no nameservers, and the pod is isolated.
// Rules by name imply DNS.
ResolverVerdicts JudgeResolvers(const EgressRules& rules,
                                const std::vector<SocketAddress>& nameservers,
                                const dns::DialledInstead& instead, const RouteTable& routes);

}  // namespace portolan::proxy
