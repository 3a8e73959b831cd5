// What the forwarder would do with a connection to each address of an answer: whose it is, which
// endpoints it may go to, and why to no others. Nothing is chosen and nothing is counted: turns and
// chance stay as they are. The main loop's thread; pure but for what it is given.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "directory/directory.h"
#include "proxy/explain/policy.h"
#include "proxy/forwarder/balancer.h"
#include "proxy/forwarder/routes.h"

namespace portolan::proxy {

// What is listed at most, of an answer and of a port.
inline constexpr size_t kMostExplainedPorts = 16;
inline constexpr size_t kMostExplainedEndpoints = 50;

// A connection that an application may make with the answer.
struct ExplainedConnection {
  SocketAddress dialled;  // port 0: any; no Service's
  Protocol protocol = Protocol::kTcp;
  std::string port_name;
  RouteTable::Match match = RouteTable::Match::kNotAService;
  std::string service;                 // "namespace/name"; empty: no Service's
  std::shared_ptr<const Route> route;  // null but for kEndpoints
};

// The addresses of A and AAAA records in lines of master-file text, each once, in order.
std::vector<IpAddress> AddressesIn(const nlohmann::json& answers);

// At most kMostExplainedPorts.
std::vector<ExplainedConnection> ConnectionsTo(const std::vector<IpAddress>& addresses,
                                               const RouteTable& routes);

// What the forwarder does then, in words.
std::string_view SaysOf(RouteTable::Match match);

struct ConnectionSurroundings {
  const Snapshot& snapshot;
  Place here;
  bool udp = false;  // it is forwarded
  ExplainedPolicy policy = {};
  std::string learned_as = {};  // the name whose answer led here (NameLearned)
  uint16_t port = 0;  // at which an address that is no Service's is dialled; 0: kUsualPorts
};

// Of what no Service has.
inline constexpr uint16_t kUsualPorts[] = {443, 80};

// `workers`: what each worker knows of the route's endpoints (Balancer::Describe).
// {"address", "port"?, "portName"?, "protocol", "service"?, "captured", "outcome", "says",
// "policy": as ToJson(PolicyVerdict), of a Service for all its endpoints and else with "ports"? for
// each port that is judged, "choice"?: {"how", "says", "affinity"?: {"seconds", "kept"},
// "maxConnections"?, "open"}, "endpoints"?: [{"address", "pod", "node", "zone", "eligible", "why"?,
// "open", "failures"?, "ejectedFor"?, "policy", "next"}], "more"?}. "outcome" is a word of
// portolan_forwarder_connections_total, or "not_captured": it does not come to the sidecar, which
// chooses no endpoint. "next" is "chosen" where the next connection surely goes
// there, "one of", or "no".
nlohmann::json ConnectionJson(const ExplainedConnection& connection,
                              const std::vector<std::vector<Balancer::EndpointState>>& workers,
                              const ConnectionSurroundings& around);

}  // namespace portolan::proxy
