#include "xds/settings.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "common/flags.h"
#include "common/log.h"
#include "xds/sources/names.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kKubernetes = "kubernetes";
constexpr std::string_view kIssuerKeys = "keys";
constexpr std::string_view kUnix = "unix:";
constexpr char kXdsListen[] = "--xds-listen";
constexpr absl::Duration kLeastHistoryAge = absl::Minutes(1);
constexpr uint64_t kLeastHistorySize = 16'000'000;
constexpr uint64_t kMostHistorySize = 1'000'000'000'000;

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

// The word before the colon, and what is behind it; no colon, no path.
std::pair<std::string_view, std::string_view> Split(std::string_view source) {
  const size_t colon = std::min(source.find(':'), source.size());
  return {source.substr(0, colon), source.substr(std::min(colon + 1, source.size()))};
}

std::string SourceFault(const Settings& settings) {
  const std::string& source = settings.source;
  const auto [kind, path] = Split(source);
  if (kind == "files" && !path.empty()) return {};
  if (kind == kKubernetes && (source == kKubernetes || !path.empty())) return {};
  return fmt::format("--source: '{}' is none of files:DIR, kubernetes, kubernetes:KUBECONFIG",
                     source);
}

// --xds-listen takes addresses and unix sockets.
void AddListenFlag(CLI::App& app, Settings& out) {
  const auto take = [&out](const std::vector<std::string>& texts) {
    out.xds_listen.clear();
    out.xds_sockets.clear();
    for (const std::string& text : texts) {
      if (text.starts_with(kUnix)) {
        out.xds_sockets.push_back(text.substr(kUnix.size()));
        continue;
      }
      auto address = SocketAddress::Parse(text);
      if (!address.ok()) {
        throw CLI::ValidationError(kXdsListen, std::string(Message(address.status())));
      }
      out.xds_listen.push_back(*address);
    }
  };
  app.add_option_function<std::vector<std::string>>(
      kXdsListen, take,
      "ADDR:PORT for xDS, or unix:PATH with --xds-insecure; may be given more than once; default "
      "0.0.0.0:15012, 127.0.0.1:15010 with --xds-insecure");
}

std::string TransportFault(const Settings& settings) {
  const bool certificate = !settings.tls.certificate.empty();
  const bool key = !settings.tls.key.empty();
  if (certificate != key) return "--tls-cert and --tls-key: one is of no use without the other";
  if (certificate == settings.xds_insecure) {
    return certificate ? "--xds-insecure and --tls-cert: xDS is served in plaintext or over TLS"
                       : "--tls-cert and --tls-key are needed to serve xDS over TLS; "
                         "--xds-insecure serves it in plaintext, on loopback alone";
  }
  if (!settings.xds_insecure) {
    return settings.xds_sockets.empty() ? "" : "--xds-listen unix:PATH is for --xds-insecure alone";
  }
  for (const std::string& path : settings.xds_sockets) {
    if (path.empty() || path.front() != '/') {
      return fmt::format("--xds-listen unix:{}: the path has to begin with /", path);
    }
  }
  const auto open = std::find_if_not(settings.xds_listen.begin(), settings.xds_listen.end(),
                                     [](const SocketAddress& a) { return a.ip.is_loopback(); });
  if (open == settings.xds_listen.end()) return {};
  return fmt::format(
      "--xds-listen {}: --xds-insecure is for loopback alone; give --tls-cert and --tls-key",
      open->ToString());
}

std::string AuthFault(const Settings& settings) {
  const auto [kind, file] = Split(settings.xds_auth);
  if (settings.xds_insecure) {
    return settings.xds_auth.empty() ? "" : "--xds-auth: --xds-insecure asks for no tokens";
  }
  if (settings.xds_auth.empty()) {
    return "--xds-auth: without an API server, keys:FILE has to say who issues clients' tokens, or "
           "none that whoever connects may read the directory";
  }
  if (settings.xds_auth == kKubernetes) {
    return settings.from_kubernetes()
               ? ""
               : "--xds-auth kubernetes: --source files has no API server to ask; see keys:FILE";
  }
  if (settings.xds_auth == "none" || (kind == kIssuerKeys && !file.empty())) return {};
  return fmt::format("--xds-auth: '{}' is none of kubernetes, keys:FILE, none", settings.xds_auth);
}

std::string HttpFault(const Settings& settings) {
  if (settings.http_auth != "none" && settings.http_auth != kKubernetes) {
    return fmt::format("--http-auth: '{}' is none of none, kubernetes", settings.http_auth);
  }
  if (settings.http_auth == kKubernetes && !settings.from_kubernetes()) {
    return "--http-auth kubernetes: --source files has no API server to ask";
  }
  if (settings.http_listen.ip.is_loopback()) return {};
  const std::string what = "--http-listen " + settings.http_listen.ToString();
  if (settings.http_auth != kKubernetes) {
    return what + ": beyond loopback --http-auth kubernetes is needed";
  }
  return settings.xds_insecure
             ? what + ": beyond loopback it is served over TLS; give --tls-cert and --tls-key"
             : "";
}

std::string PeerFault(const Settings& settings) {
  if (!settings.peer_listen.empty() && settings.xds_insecure) {
    return "--peer-listen is served over TLS; give --tls-cert and --tls-key";
  }
  if (!settings.peer_listen.empty() && !settings.from_kubernetes()) {
    return "--peer-listen: --source files has no API server to ask who the others are";
  }
  if (!settings.http_peers.host.empty() && settings.peer_ca.empty()) {
    return "--http-peers: --peer-ca FILE has to say by which CA they are known";
  }
  return {};
}

std::string DomainFault(const Settings& settings) {
  if (IsSubdomain(settings.cluster_domain)) return {};
  return fmt::format("--cluster-domain: '{}' is no DNS name in lower case, as in cluster.local",
                     settings.cluster_domain);
}

std::string CorefileFault(const Settings& settings) {
  if (settings.corefile.empty() || settings.corefiles.empty()) return {};
  const std::string file = settings.corefiles + "/default";
  std::error_code absent;
  if (!std::filesystem::exists(file, absent)) return {};
  return fmt::format("--corefile and --corefiles: which of {} and {} is the default one?",
                     settings.corefile, file);
}

std::string HistoryFault(const Settings& settings) {
  if (settings.history_age < kLeastHistoryAge) {
    return fmt::format("--history-age: at least {}", absl::FormatDuration(kLeastHistoryAge));
  }
  if (settings.history_size < kLeastHistorySize || settings.history_size > kMostHistorySize) {
    return "--history-size: from 16MB to 1TB";
  }
  return {};
}

// What CLI11 cannot say of a single flag. Empty if all is well.
std::string Fault(const Settings& settings) {
  for (const auto fault_of : {SourceFault, TransportFault, AuthFault, HttpFault, PeerFault,
                              DomainFault, CorefileFault, HistoryFault}) {
    if (std::string fault = fault_of(settings); !fault.empty()) return fault;
  }
  return {};
}

}  // namespace

Settings::Settings()
    : http_listen(At("127.0.0.1:15080")), status_listen{At("0.0.0.0:15014"), At("[::]:15014")} {}

bool Settings::from_kubernetes() const { return Split(source).first == kKubernetes; }

std::string Settings::source_path() const { return std::string(Split(source).second); }

std::string Settings::issuer_keys() const { return std::string(Split(xds_auth).second); }

std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out) {
  CLI::App app("Portolan's control plane: serves the directory of a cluster to its sidecars",
               "portolan-control");
  AddCommonFlags(app, PORTOLAN_VERSION);
  app.add_option(
         "--source", out.source,
         "where the cluster is read from: kubernetes, the cluster this is a pod of; "
         "kubernetes:KUBECONFIG, the current context there; files:DIR, a folder of manifests")
      ->required();
  AddListenFlag(app, out);
  app.add_option("--tls-cert", out.tls.certificate,
                 "certificate shown to sidecars and those that lead to its CA, PEM; read again "
                 "when it changes");
  app.add_option("--tls-key", out.tls.key, "its key, PEM");
  app.add_option("--xds-auth", out.xds_auth,
                 "how clients' tokens are verified over TLS: kubernetes, by TokenReview, the "
                 "default with that source; keys:FILE, the issuer's public keys as PEM or JWKS; "
                 "none, whoever connects is let in");
  app.add_flag("--xds-insecure", out.xds_insecure,
               "serve xDS in plaintext, on loopback and unix sockets alone");
  AddFlag(app, "--http-listen", out.http_listen, "ADDR:PORT for the API; default 127.0.0.1:15080");
  app.add_option("--http-auth", out.http_auth,
                 "who may read the API: none, whoever reaches it; kubernetes, by TokenReview and "
                 "SubjectAccessReview, which a --http-listen beyond loopback needs; it is then "
                 "served over TLS")
      ->capture_default_str();
  AddFlag(app, "--http-peers", out.http_peers,
          "HOST:PORT of the other replicas' --peer-listen, a headless Service; its answers then "
          "cover all of them");
  AddFlag(app, "--peer-listen", out.peer_listen,
          "ADDR:PORT for the API over TLS, for the other replicas alone; may be given more than "
          "once; off by default");
  app.add_option("--peer-ca", out.peer_ca, "the CA that the other replicas are known by, PEM");
  app.add_option("--peer-server-name", out.peer_server_name,
                 "what their certificate is for; default the HOST of --http-peers");
  app.add_option("--peer-token", out.peer_token,
                 "token of our service account for the audience portolan-peers, shown to them; "
                 "read again each time")
      ->capture_default_str();
  AddFlag(app, "--status-listen", out.status_listen,
          "ADDR:PORT for /healthz, /ready and /metrics; default port 15014 on all addresses");
  app.add_option("--cluster-domain", out.cluster_domain,
                 "the cluster's DNS zone, in the names that gRPC and Envoy clients ask for")
      ->capture_default_str();
  app.add_option("--corefile", out.corefile, "Corefile for the sidecars; followed when it changes");
  app.add_option("--corefiles", out.corefiles,
                 "folder of Corefiles, each for the sidecars that ask for its name; `default` is "
                 "for those that ask for none; followed when they change");
  app.add_option("--history-db", out.history_db,
                 "file that keeps what each name led to, and when; in memory by default");
  AddFlag(app, "--history-age", out.history_age, "how long that is kept; default 24h");
  app.add_option("--history-size", out.history_size,
                 "how large it may be, in bytes or as 64MB or 1GiB; default 256MB")
      ->transform(CLI::AsSizeValue(true));
  AddLogFlags(app, out.log_level, out.log_format);
  if (auto status = ParseFlags(app, argc, argv)) return status;
  if (out.xds_listen.empty() && out.xds_sockets.empty()) {
    out.xds_listen = {At(out.xds_insecure ? "127.0.0.1:15010" : "0.0.0.0:15012")};
  }
  if (out.xds_auth.empty() && out.from_kubernetes() && !out.xds_insecure) {
    out.xds_auth = kKubernetes;
  }
  if (out.peer_server_name.empty()) out.peer_server_name = out.http_peers.host;
  if (auto status = WrongUsage(Fault(out))) return status;
  log::SetFormat(out.log_format);
  return WrongUsage(Message(log::SetLevel(out.log_level)));
}

}  // namespace portolan::xds
