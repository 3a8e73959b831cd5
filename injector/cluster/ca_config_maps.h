// ConfigMap portolan-ca in every namespace: the CAs that pods are to know the control plane by.
// Written where it is missing or says something else, also when somebody deletes it and in a
// namespace that is new; never in kube-system, kube-public and kube-node-lease. Any number of
// replicas write the same.
//
// The role has to allow: list and watch of namespaces; create of configmaps; list, watch and patch
// of those named portolan-ca. On the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_call.h"
#include "common/metrics.h"
#include "injector/cluster/followed_objects.h"

namespace portolan::injector {

class CaConfigMaps {
 public:
  static constexpr char kName[] = "portolan-ca";
  static constexpr char kKey[] = "ca.crt";

  // `loop` and `client` outlive it.
  CaConfigMaps(EventLoop& loop, ApiClient& client);

  void Start();
  // What all of them are to hold, PEM; before the first nothing is written.
  void SetBundle(std::string bundle);

  void AddMetrics(MetricFamilies& families) const;

 private:
  // At the same time; API servers hold back who asks for much at once.
  static constexpr size_t kMostWrites = 8;
  static constexpr absl::Duration kGather = absl::Milliseconds(20);
  static constexpr absl::Duration kTryAgain = absl::Seconds(2);
  static constexpr absl::Duration kTryRefusedAgain = absl::Minutes(1);

  // Of a ConfigMap that is there: what it holds, as a hash.
  using Content = size_t;

  void Soon(absl::Duration delay);
  void WriteMissing();
  bool IsRight(const std::string& name_space) const;
  void Write(const std::string& name_space);
  void OnWritten(const std::string& name_space, const absl::StatusOr<std::string>& body);

  ApiClient& client_;
  std::string bundle_;
  FollowedObjects<bool> namespaces_;  // whether it is to have one
  FollowedObjects<Content> maps_;
  absl::flat_hash_map<std::string, std::unique_ptr<ApiCall>> writing_;  // by namespace
  std::vector<std::unique_ptr<ApiCall>> done_;  // may be on the stack until the next turn
  // Monotonic; so that those that take none do not keep the others from theirs.
  absl::flat_hash_map<std::string, absl::Duration> refused_until_;
  absl::Duration due_ = absl::InfiniteDuration();  // Monotonic: the timer
  Counter written_, failures_;
  EventLoop::Timer timer_;
};

}  // namespace portolan::injector
