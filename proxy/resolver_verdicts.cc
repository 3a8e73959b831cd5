#include "proxy/resolver_verdicts.h"

namespace portolan::proxy {
namespace {

using Verdict = EgressRules::Verdict;

int RankOf(const Verdict& verdict) {
  if (!verdict.allowed) return 0;
  return verdict.audited ? 1 : 2;
}

}  // namespace

ResolverVerdicts JudgeResolvers(const EgressRules& rules,
                                const std::vector<SocketAddress>& nameservers,
                                const dns::DialledInstead& instead, const RouteTable& routes) {
  if (rules.allows_dns()) return {};
  const auto judge = [&](Protocol protocol) {
    Verdict best{.allowed = !rules.isolates(), .audited = !rules.auditing().empty()};
    const auto see = [&](const SocketAddress& to) {
      const Verdict verdict = rules.Judge(to, protocol);
      if (RankOf(verdict) > RankOf(best)) best = verdict;
    };
    for (const SocketAddress& server : nameservers) {
      const RouteTable::Lookup found = routes.Find(server, protocol);
      if (found.route != nullptr) {
        for (const RouteEndpoint& one : (*found.route)->endpoints) see(one.address);
        continue;
      }
      // Those that are asked over UDP, and over TCP where an answer does not fit.
      const auto other = instead.find({server, Protocol::kUdp});
      if (other == instead.end()) {
        see(server);
      } else {
        for (const SocketAddress& to : other->second) see(to);
      }
    }
    // Not allowed by enforced ones: those in audit alone have rules by name.
    if (best.allowed && rules.has_names()) best.audited = false;
    return best;
  };
  return {.udp = judge(Protocol::kUdp), .tcp = judge(Protocol::kTcp)};
}

}  // namespace portolan::proxy
