// What the injector is told at its start: flags, or the same names in the YAML file given by
// --config. What it puts into pods is the Template's (template.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/tls_files.h"

namespace portolan::injector {

struct Settings {
  std::vector<SocketAddress> listen;
  TlsIdentityFiles tls;      // both or none
  bool self_signed = false;  // certificates of our own
  // With files: PEM of the CAs that pods are to know the control plane by; empty: others see to it.
  std::string ca_file;
  bool patch_webhook = false;  // with ca_file: into the webhook configuration too

  std::string kubeconfig;  // empty: the cluster that we are a pod of
  std::string template_file;
  std::string name_space;  // ours
  std::string pod;         // ours; empty: we are none
  std::string control_service = "portolan-control";
  std::string cluster_domain = "cluster.local";
  absl::Duration ca_lifetime = absl::Hours(24 * 365);
  absl::Duration certificate_lifetime = absl::Hours(24 * 30);
  absl::Duration drain_time = absl::Seconds(5);
  std::string log_level = "info";
  std::string log_format = "text";

  Settings();
};

// Reads the command line into `out`. The exit status if the program should end (--help, an error
// that names the flag), nothing if it should go on.
std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out);

}  // namespace portolan::injector
