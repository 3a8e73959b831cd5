// What the webhook says to a pod that is being created: an AdmissionReview in, an AdmissionReview
// out. Knows no socket, no clock and no cluster: tests, `portolanctl inject` and the server call
// the same functions.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
//
// Values and pure functions; any thread. All of a request came over the network: it is bounded and
// checked before it is looked at. Nothing is thrown.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "injector/outcome.h"
#include "injector/template.h"

namespace portolan::injector {

// Of a request's body; a larger one is refused (the API server itself takes no pod above 3 MB).
inline constexpr size_t kMaxReviewBytes = 3u << 20;

struct KubernetesVersion {
  int major = 1;
  int minor = 0;
  friend auto operator<=>(const KubernetesVersion&, const KubernetesVersion&) = default;
};

// What is known of the cluster at this moment; where a Template says the same, the Template counts.
struct ClusterFacts {
  // Of the API server; below 1.29 there are no native sidecars and nothing is injected. Nothing:
  // not known yet, taken for new enough.
  std::optional<KubernetesVersion> version;
  std::vector<Cidr> service_cidrs;  // ServiceCIDRs
  std::vector<Cidr> pod_cidrs;      // of the Nodes, merged
  // Pods of the control plane, and what serves the cluster's DNS, with their ports: a sidecar that
  // has never been told of a Service reaches them unaided.
  std::vector<SocketAddress> control_pods;
  std::vector<SocketAddress> dns_endpoints;
  // The first port of a Service, for portolan.dev/service-env; empty, or nothing: not known.
  std::function<std::optional<uint16_t>(std::string_view name_space, std::string_view name)>
      service_port;
  // Whether the namespace's annotation portolan.dev/capture demands `all` of its pods. Nothing:
  // none is known to.
  std::function<bool(std::string_view name_space)> demands_all;
  // Of our own container, and so of all programs; empty: not known.
  std::string image;
};

struct Reviewed {
  Outcome outcome;
  std::string name_space;  // of the pod, for the log line; empty where the review could not be read
  std::string pod;         // its name, or generateName with "*"
  std::string detail;      // what is wrong, or why it is left alone; one line, may be empty
  int status = 200;        // of HTTP: 400 where the body is no AdmissionReview
  std::string body;        // the answer
};

// `own_namespace` is never injected.
Reviewed Review(std::string_view body, const Template& settings, const ClusterFacts& facts,
                std::string_view own_namespace);

}  // namespace portolan::injector
