// The whole of it: a pod in, what is to be changed out. The webhook asks for pods as they are
// created, `portolanctl inject` for the pod templates in a file.
//
// Asked again about a pod that it injected, be it changed meanwhile by the API server or by another
// webhook, it puts back what is missing and touches nothing that is there: no containers are set
// again, since the API server has mounted the service account's token into them. Where the
// namespace demands that all is captured, containers of ours that somebody changed are denied.
//
// Pure; any thread; nothing is thrown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "injector/injector.h"
#include "injector/outcome.h"
#include "injector/pod.h"

namespace portolan::injector {

struct Injection {
  Outcome outcome;
  std::string detail;
  std::vector<std::string> warnings;
  Json patch = Json::array();  // JSON Patch (RFC 6902) of "add" alone; empty: nothing to change
};

// An error says what about `pod` is no pod.
absl::StatusOr<Injection> Inject(const Json& pod, std::string_view name_space,
                                 const Template& common, const ClusterFacts& facts,
                                 std::string_view own_namespace);

}  // namespace portolan::injector
