// The containers and volumes that are put into a pod, as the Kubernetes API writes them.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
//
// Pure; any thread. docs/injection.md says what each right is for.
#pragma once

#include <cstdint>
#include <vector>

#include "injector/injector.h"
#include "injector/pod.h"
#include "injector/pod_settings.h"
#include "injector/template.h"

namespace portolan::injector {

struct Sidecar {
  const PodSettings& settings;
  const Template& common;
  const ClusterFacts& facts;
  std::vector<uint16_t> app_ports;  // that the pod's containers declare
  // The pod asks the cluster's DNS, so that facts.dns_endpoints may be asked in its place.
  bool asks_cluster_dns = true;
};

Json InitContainer(const Sidecar& sidecar);
Json ProxyContainer(const Sidecar& sidecar);
// In the order of kVolumes.
Json Volumes(const Template& common);

}  // namespace portolan::injector
