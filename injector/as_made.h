// Whether what has our names in a pod is what the injector puts there. Somebody else may have
// written it: then the capture that the pod's settings ask for is not there.
//
// Any thread; pure.
#pragma once

#include <string>

#include "injector/pod.h"
#include "injector/sidecar.h"

namespace portolan::injector {

// Says where a container or volume of the pod that has one of our names is another than `sidecar`
// makes, "container portolan-init (args)"; empty: nowhere. What the API server and its built-in
// admission add to ours counts as made, and so do arguments that told of the cluster at another
// moment.
std::string NotAsMade(const Pod& pod, const Sidecar& sidecar);

}  // namespace portolan::injector
