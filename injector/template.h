// What an injector puts into pods: the file injection.yaml of the ConfigMap portolan-injection, a
// flat YAML map. Its keys are the settings of PodSettings, as defaults that a pod's annotations
// replace, and those below, which only the cluster's operator may say. docs/injection.md is its
// manual.
//
// Immutable once read; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "injector/pod_settings.h"

namespace portolan::injector {

inline constexpr size_t kMaxTemplateBytes = 256u << 10;

struct Template {
  PodSettings defaults;

  std::string image_pull_policy = "IfNotPresent";
  // Secrets that must be in each pod's own namespace.
  std::vector<std::string> image_pull_secrets;
  Resources init_resources = {"10m", "16Mi", "1", "64Mi"};
  std::string state_size = "64Mi";

  // HOST:PORT, tried after the control plane's pods; and what its certificate is for.
  std::vector<std::string> control = {"portolan-control.portolan-system.svc:15012"};
  std::string control_server_name = "portolan-control.portolan-system.svc";
  std::string cluster_domain = "cluster.local";

  // Where empty, what is known of the cluster counts (ClusterFacts).
  std::vector<Cidr> service_cidrs;
  std::vector<Cidr> pod_cidrs;
  std::vector<SocketAddress> cluster_dns;

  bool scrape = true;  // add prometheus.io/scrape, port and path where a pod has none of them

  // Of the text that it was read from; stands in each injected pod's status annotation.
  std::string hash;

  Template();  // as an empty file
};

// An error reads "LINE: KEY: what is wrong", and an unknown key names the nearest known one.
absl::StatusOr<Template> ParseTemplate(const std::string& text);

}  // namespace portolan::injector
