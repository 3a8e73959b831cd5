// Why an endpoint is or is not one that a connection may go to, in the words of docs/forwarder.md:
// what eligible_endpoints.h decides, said for people. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/forwarder/eligible_endpoints.h"

namespace portolan::proxy {

struct Eligibility {
  RouteEndpoint endpoint;
  std::string why_not;  // empty: eligible
};

// Of each of `all`, in their order.
std::vector<Eligibility> ExplainEligibility(const std::vector<RouteEndpoint>& all,
                                            TrafficPolicy policy, const Place& here);

}  // namespace portolan::proxy
