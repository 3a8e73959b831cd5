// `portolanctl inject`: the pod templates of a file changed as the webhook changes the pods that
// are made of them, for where there is no webhook or what it does is to be seen first.
//
// Pure; one thread; nothing is thrown. docs/injection.md is its manual.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "injector/template.h"

namespace portolan::ctl {

struct InjectedManifest {
  std::string text;
  // A line for each pod template: "Deployment default/frontend: injected".
  std::vector<std::string> notes;
  std::vector<std::string> denials;  // of the same kind; where there is one, `text` is of no use
};

// Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs
// and Lists of them; everything else stays as it is. They are opted in unless they say inject
// "false", or the file itself holds their Namespace without the label portolan.dev/inject=enabled
// and they do not say "true". `name_space` is that of objects that name none. An error reads "LINE:
// what".
absl::StatusOr<InjectedManifest> InjectManifest(const std::string& text,
                                                const injector::Template& settings,
                                                const std::string& name_space);

}  // namespace portolan::ctl
