// What the injector knows of the cluster, read at the start and followed from then on, so that no
// review waits for it: the API server's version, the Service ranges, the nodes' pod ranges, where
// the control plane and the cluster's DNS are, the ports of Services, what namespaces demand, our
// own image.
//
// Objects are followed by watches, of which only the fields that count are kept; of 5,000 nodes the
// API server sends some 20 events a second. An API server that is away changes nothing. The role
// has to allow: list and watch of servicecidrs, nodes, services, namespaces, and of endpointslices
// in our own namespace and kube-system; get of our own pod.
//
// On the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "common/kubernetes/api_call.h"
#include "common/metrics.h"
#include "injector/cluster/followed_objects.h"
#include "injector/injector.h"

namespace portolan::injector {

class FollowedCluster {
 public:
  struct Options {
    std::string name_space;                            // ours
    std::string pod;                                   // ours; empty: we are none
    std::string control_service = "portolan-control";  // its -peers are followed
    absl::Duration gather = absl::Milliseconds(100);   // changes that come together
    absl::Duration ask_version_every = absl::Minutes(5);
  };

  // `loop` and `client` outlive it. on_change: the facts are others, or there is more of them.
  FollowedCluster(EventLoop& loop, ApiClient& client, Options options,
                  std::function<void()> on_change);

  void Start();

  // Valid until the loop's next turn. Each call begins with another of the control plane's pods, so
  // that sidecars spread over them.
  const ClusterFacts& facts();
  // What was not read yet: "nodes: 403: ..."; empty once all is known.
  std::vector<std::string> missing() const;

  void AddMetrics(MetricFamilies& families) const;

 private:
  using Ranges = FollowedObjects<std::vector<Cidr>>;
  using Addresses = FollowedObjects<std::vector<SocketAddress>>;
  using Ports = FollowedObjects<uint16_t>;
  using Demands = FollowedObjects<bool>;

  void Changed();
  void Gather();
  void AskVersion();
  void AskOwnPod();
  // Those without which nothing is injected, with whether they are known.
  std::vector<std::pair<const Reflector*, bool>> needed() const;

  const Options options_;
  const std::function<void()> on_change_;
  ClusterFacts facts_;
  Ranges service_cidrs_;
  Ranges nodes_;
  Addresses control_;
  Addresses dns_;
  Ports services_;
  Demands namespaces_;  // whether they demand that all is captured
  ApiCall version_call_, pod_call_;
  std::string version_fault_ = "not answered yet";
  std::string pod_fault_;  // empty: our image is known, or there is none to know
  bool scheduled_ = false;
  EventLoop::Timer gather_timer_, version_timer_, pod_timer_;
};

}  // namespace portolan::injector
