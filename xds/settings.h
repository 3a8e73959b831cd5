// What the control plane is told at its start: flags, or the same names in the YAML file given by
// --config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/host_and_port.h"
#include "common/ip.h"
#include "common/tls_files.h"

namespace portolan::xds {

struct Settings {
  std::string source;  // files:DIR, kubernetes, kubernetes:KUBECONFIG
  // Empty when read: 0.0.0.0:15012 over TLS, 127.0.0.1:15010 in plaintext.
  std::vector<SocketAddress> xds_listen;
  std::vector<std::string> xds_sockets;  // unix sockets: their paths
  TlsIdentityFiles tls;                  // both or none
  bool xds_insecure = false;             // plaintext, on loopback and unix sockets alone
  // Over TLS: how clients' tokens are verified. "kubernetes", the default with that source;
  // "keys:FILE"; "none": whoever connects is let in.
  std::string xds_auth;
  SocketAddress http_listen;
  // Who may read the API: "none", whoever reaches it; "kubernetes", by TokenReview and
  // SubjectAccessReview. Beyond loopback always the latter, and over TLS.
  std::string http_auth = "none";
  // The other replicas' API. No host: this one is alone.
  HostAndPort http_peers;
  std::vector<SocketAddress> peer_listen;  // for the other replicas; empty: off
  std::string peer_ca;                     // the CA that they are known by, PEM
  std::string peer_server_name;            // what their certificate is for
  std::string peer_token = "/var/run/secrets/portolan/peers/token";
  std::vector<SocketAddress> status_listen;
  std::string cluster_domain = "cluster.local";
  // Of the sidecars: the path of the one named "default", and of a folder whose files are each the
  // one of that name. Without one of the name that it asks for a sidecar uses its own.
  std::string corefile;
  std::string corefiles;
  std::string history_db;  // empty: in memory
  absl::Duration history_age = absl::Hours(24);
  uint64_t history_size = 256'000'000;  // bytes
  std::string log_level = "info";
  std::string log_format = "text";

  Settings();

  bool from_kubernetes() const;
  // The folder of files:DIR; the KUBECONFIG of kubernetes:KUBECONFIG, empty in a cluster.
  std::string source_path() const;

  // The FILE of keys:FILE; empty for the others.
  std::string issuer_keys() const;
};

// Reads the command line into `out`. The exit status if the program should end (--help, an error
// that names the flag), nothing if it should go on.
std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out);

}  // namespace portolan::xds
