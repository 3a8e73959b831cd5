// What the directory holds only once it was asked for: who has an address and, unless all are held,
// the endpoints of a Service.
//
// One for each worker, on its loop. A chain that finds nothing waits here, so that a question costs
// one round trip to the control plane the first time and nothing after that.
#pragma once

#include "common/ip.h"
#include "directory/service_key.h"
#include "dns/exchange.h"
#include "dns/plugin.h"

namespace portolan::dns {

class OnDemand {
 public:
  virtual ~OnDemand() = default;

  // kPending: the exchange is suspended until `ip` is held (Snapshot::FindAddress), or until it is
  // clear that it will not be in time; then OnQuery of the link that called is called once more
  // (Suspended::Retry). kNext: `ip` cannot be had now; the caller passes the question on.
  virtual Verdict WaitForAddress(const IpAddress& ip, Exchange& exchange) = 0;
  // The same until Snapshot::KnowsSlices of the Service.
  virtual Verdict WaitForEndpoints(const ServiceKey& service, Exchange& exchange) = 0;
  // Has them brought if there is room: they are likely to be wanted soon, and nobody waits.
  virtual void PrefetchEndpoints(const ServiceKey& service) = 0;
};

}  // namespace portolan::dns
