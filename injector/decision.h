// Whether a pod gets a sidecar, and how it is set up: what its namespace, labels, annotations and
// containers say, in one place. docs/injection.md lists the outcomes.
//
// Any thread; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "injector/injector.h"
#include "injector/outcome.h"
#include "injector/pod.h"
#include "injector/pod_settings.h"

namespace portolan::injector {

struct Decision {
  Outcome outcome = Outcome::kInjected;  // kInjected: what is missing is to be put in
  std::string detail;                    // why it is not injected; one line
  PodSettings settings;
  bool all_demanded = false;  // the namespace demands that all is captured
  std::vector<std::string> warnings;
};

// Why what evades the capture is denied: "namespace X demands ...".
std::string Demand(std::string_view name_space);

// The pod has been opted in by its namespace, or by itself, unless it says otherwise.
Decision Decide(const Pod& pod, std::string_view name_space, const Template& common,
                const ClusterFacts& facts, std::string_view own_namespace);

}  // namespace portolan::injector
