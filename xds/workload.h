// What a pod belongs to in the words of its operator: the Deployment, StatefulSet, DaemonSet, Job
// or CronJob, derived from the pod's labels and name alone, so that no further API object is
// watched.
//
//   pod-template-hash                     NAME-HASH-xxxxx is of the Deployment NAME
//   statefulset.kubernetes.io/pod-name,
//   apps.kubernetes.io/pod-index          NAME-N of the StatefulSet NAME
//   batch.kubernetes.io/job-name          the Job; of a CronJob (NAME-MINUTES) its NAME
//   controller-revision-hash              NAME-xxxxx of the DaemonSet NAME
//
// https://kubernetes.io/docs/reference/labels-annotations-taints/. Any thread.
#pragma once

#include <string>

#include "directory/model.h"

namespace portolan::xds {

// Without its namespace, which is the pod's; the pod's own name where nothing tells of more.
std::string WorkloadOf(const Pod& pod);

}  // namespace portolan::xds
