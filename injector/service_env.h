// The annotation portolan.dev/service-env: for "backend", BACKEND_SERVICE_HOST with the DNS name
// and BACKEND_SERVICE_PORT in the environment of every container that has not set them itself.
//
// The kubelet sets variables of these names too (service links, with the cluster IP), and what a
// container says itself goes before them. They stand in front, so that the container's own
// variables can refer to them as $(BACKEND_SERVICE_HOST).
// https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "injector/patch.h"
#include "injector/pod.h"
#include "injector/sidecar.h"

namespace portolan::injector {

// A port that nobody knows is left to the kubelet's service links; a warning says so where these
// cannot have it.
void AddServiceEnv(const Pod& pod, std::string_view name_space, const Sidecar& sidecar,
                   Patch& patch, std::vector<std::string>& warnings);

}  // namespace portolan::injector
