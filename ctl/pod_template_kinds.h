// The kinds of the Kubernetes API that pods are made from, and Pod itself: where each has what is a
// pod's, and where the API lists it. Any thread.
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
#pragma once

#include <array>
#include <string_view>

namespace portolan::ctl {

struct PodTemplateKind {
  std::string_view api_version;
  std::string_view kind;
  std::string_view plural;
  std::string_view pointer;  // JSON Pointer to the template's metadata and spec
};

// Those that make others come before what they make.
inline constexpr std::array<PodTemplateKind, 8> kPodTemplateKinds = {{
    {"apps/v1", "Deployment", "deployments", "/spec/template"},
    {"apps/v1", "StatefulSet", "statefulsets", "/spec/template"},
    {"apps/v1", "DaemonSet", "daemonsets", "/spec/template"},
    {"apps/v1", "ReplicaSet", "replicasets", "/spec/template"},
    {"v1", "ReplicationController", "replicationcontrollers", "/spec/template"},
    {"batch/v1", "CronJob", "cronjobs", "/spec/jobTemplate/spec/template"},
    {"batch/v1", "Job", "jobs", "/spec/template"},
    {"v1", "Pod", "pods", ""},
}};

// null: none of them. By the kind alone, for manifests of any version.
inline const PodTemplateKind* FindPodTemplateKind(std::string_view kind) {
  for (const PodTemplateKind& known : kPodTemplateKinds) {
    if (known.kind == kind) return &known;
  }
  return nullptr;
}

}  // namespace portolan::ctl
