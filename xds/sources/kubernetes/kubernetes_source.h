// A cluster, read from its API server, as the source of a Directory: what `--source kubernetes`
// means.
//
// Services, EndpointSlices, Pods, Namespaces, Nodes and NetworkPolicies; ServiceCIDRs,
// ServiceImports, DNSEgressPolicies, ClusterNetworkPolicies and AdminNetworkPolicies where the
// server has them. Nothing leaves until all were listed once. From then on a change leaves at once,
// and changes that follow within 10 ms leave together. An API server that is away changes nothing:
// what was read stays. One of the latter kinds that the role lacks is taken for absent only while
// one of the former is watched: an API server that has just come up denies all.
//
// Belongs to the loop's thread, and writes to `directory` on it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "xds/sources/kubernetes/followed_kind.h"
#include "xds/sources/source.h"

namespace portolan::xds {

class KubernetesSource : public Source {
 public:
  struct Options {
    Reflector::Options reflector = {};
    absl::Duration gather = absl::Milliseconds(10);
    ObjectObserver* dns_egress_policies = nullptr;  // null: nobody; outlives the source
  };

  // `client` and `directory` outlive it.
  KubernetesSource(EventLoop& loop, ApiClient& client, Options options, Directory& directory,
                   OnChange on_change);

  // Never fails: an API server that is away is waited for.
  absl::Status Start() override;

  // "services: 403: the role lacks list on services (...)"
  std::vector<std::string> missing() const override;
  void AddMetrics(MetricFamilies& families) const override;
  nlohmann::json Describe() const override;

 private:
  bool IsLetIn() const;
  void Changed();
  void Step();

  const Options options_;
  Directory& directory_;
  const OnChange on_change_;
  std::vector<std::unique_ptr<FollowedKind>> kinds_;
  bool complete_ = false;
  bool scheduled_ = false;
  absl::Time since_;  // of the first change that is to be told, where one is scheduled
  absl::Duration last_step_ = -absl::InfiniteDuration();  // Monotonic
  EventLoop::Timer timer_;
};

}  // namespace portolan::xds
