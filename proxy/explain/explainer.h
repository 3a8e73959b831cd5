// What becomes of a name that the application looks up, all the way out: the lookups that it leads
// to (resolv.conf(5): search list and ndots), how each came to its answer, the objects behind it,
// the connection that the application would make with it, and how far all of this can be believed.
//
//   question.h     names, queries and replies
//   own_lookups.h  asks the sidecar itself
//   cluster_dns.h  asks the servers that the pod would ask without a sidecar, at the same time
//   objects.h      the directory's part: source objects, and why a name is not there
//   connections.h  the forwarder's part: whose address, which endpoints, why not the others
//   policy.h       what egress policy says of the names and of these connections
//
// The main loop's thread; nothing blocks. The questions are counted and logged as all others.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/resolv_conf.h"
#include "proxy/admin/admin.h"
#include "proxy/explain/connections.h"
#include "proxy/explain/own_lookups.h"
#include "proxy/explain/policy.h"

namespace portolan::proxy {

// The sidecar as explain sees it. The main loop's thread; must not block.
class ExplainedSidecar {
 public:
  virtual ~ExplainedSidecar() = default;
  virtual const ResolvConf& resolv_conf() = 0;
  // Its nameservers, as the sidecar dials them.
  virtual std::vector<SocketAddress> nameservers() = 0;
  // Asks a worker (AskOwn).
  virtual void Ask(std::vector<uint8_t> query, std::function<void(OwnAnswer)> done) = 0;
  // Never null.
  virtual std::shared_ptr<const Snapshot> snapshot() = 0;
  virtual std::shared_ptr<const RouteTable> routes() = 0;
  virtual Place place() = 0;
  virtual bool forwards_udp() = 0;
  // "held", "asked for", "not held".
  virtual std::string EndpointsStateOf(const std::string& service_key) = 0;
  // Has the endpoints of a Service asked for that are not held.
  virtual void WantEndpoints(const std::string& service_key) = 0;
  // {"inSync", "source", "age", "generation", ...}
  virtual nlohmann::json Feed() = 0;
  virtual std::string own_namespace() = 0;
  virtual ExplainedPolicy policy() = 0;
  // For each route what each worker knows of its endpoints. Calls `done` once, on the main loop,
  // when the workers have answered.
  using States = std::vector<std::vector<std::vector<Balancer::EndpointState>>>;
  virtual void Describe(std::vector<std::shared_ptr<const Route>> routes,
                        std::function<void(States)> done) = 0;
};

class Explainer {
 public:
  // For all lookups of a name: below the two seconds that a control plane waits.
  static constexpr absl::Duration kPatience = absl::Milliseconds(1500);
  static constexpr size_t kMostAtOnce = 8;
  using Done = std::function<void(absl::StatusOr<nlohmann::json>)>;

  // `sidecar` outlives it.
  Explainer(EventLoop& loop, ExplainedSidecar& sidecar, std::string cluster_domain,
            absl::Duration patience = kPatience);
  ~Explainer();
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  // {"name", "type", "search", "ndots", "lookups", "connections", "feed", "policy", "clusterDns"?}:
  // lookups as in own_lookups.h and objects.h, with "policy" for each, connections of the last
  // one's answer as in connections.h, policy as in policy.h, clusterDns as in cluster_dns.h. `done`
  // is called once, on the loop, unless this is destroyed before: kInvalidArgument for what is no
  // name or no type, kResourceExhausted where kMostAtOnce are under way. An empty type is A.
  void Explain(const ExplainRequest& request, Done done);

 private:
  class Running;

  void Remove(const Running* running);

  EventLoop& loop_;
  ExplainedSidecar& sidecar_;
  const std::string cluster_domain_;
  const absl::Duration patience_;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace portolan::proxy
