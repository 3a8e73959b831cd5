// Whether another service mesh captures a pod's traffic: two captures in one pod would each take
// what the other sends.
#pragma once

#include <optional>
#include <string>

#include "injector/outcome.h"
#include "injector/pod.h"

namespace portolan::injector {

struct OtherMesh {
  Outcome outcome;
  std::string sign;  // what told: "container istio-proxy"
};

// By what Istio, Linkerd and Istio's ambient mode leave in a pod, or by the pod's own wish for one
// of them. That a namespace is in an ambient mesh cannot be seen from a pod.
// https://istio.io/latest/docs/reference/config/labels/
// https://istio.io/latest/docs/reference/config/annotations/
// https://linkerd.io/2/reference/proxy-configuration/
std::optional<OtherMesh> FindOtherMesh(const Pod& pod);

}  // namespace portolan::injector
