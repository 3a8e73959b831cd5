#include "xds/settings.h"

#include <algorithm>
#include <string_view>

#include "common/flags.h"
#include "common/log.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kFilesSource = "files:";

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

std::string SourceFault(const std::string& source) {
  if (source == "kubernetes" || source.starts_with("kubernetes:")) {
    return "--source kubernetes: this version reads folders of manifests only (files:DIR)";
  }
  if (!source.starts_with(kFilesSource) || source.size() == kFilesSource.size()) {
    return fmt::format("--source: '{}' is not files:DIR", source);
  }
  return {};
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
  if (!settings.xds_insecure) return {};
  const auto open = std::find_if_not(settings.xds_listen.begin(), settings.xds_listen.end(),
                                     [](const SocketAddress& a) { return a.ip.is_loopback(); });
  if (open == settings.xds_listen.end()) return {};
  return fmt::format(
      "--xds-listen {}: --xds-insecure is for loopback alone; give --tls-cert and --tls-key",
      open->ToString());
}

// What CLI11 cannot say of a single flag. Empty if all is well.
std::string Fault(const Settings& settings) {
  const std::string fault = SourceFault(settings.source);
  return fault.empty() ? TransportFault(settings) : fault;
}

}  // namespace

Settings::Settings() : http_listen(At("127.0.0.1:15080")), status_listen(At("0.0.0.0:15014")) {}

std::string Settings::folder() const { return source.substr(kFilesSource.size()); }

std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out) {
  CLI::App app("Portolan's control plane: serves the directory of a cluster to its sidecars",
               "portolan-control");
  AddCommonFlags(app, PORTOLAN_VERSION);
  app.add_option("--source", out.source,
                 "where the cluster is read from: files:DIR, a folder of Kubernetes manifests")
      ->required();
  AddFlag(app, "--xds-listen", out.xds_listen,
          "ADDR:PORT for xDS, may be given more than once; default 0.0.0.0:15012, "
          "127.0.0.1:15010 with --xds-insecure");
  app.add_option("--tls-cert", out.tls.certificate,
                 "certificate shown to sidecars and those that lead to its CA, PEM; read again "
                 "when it changes");
  app.add_option("--tls-key", out.tls.key, "its key, PEM");
  app.add_flag("--xds-insecure", out.xds_insecure, "serve xDS in plaintext, on loopback alone");
  AddFlag(app, "--http-listen", out.http_listen, "ADDR:PORT for the API; default 127.0.0.1:15080");
  AddFlag(app, "--status-listen", out.status_listen,
          "ADDR:PORT for /healthz, /ready and /metrics; default 0.0.0.0:15014");
  app.add_option("--corefile", out.corefile, "Corefile for the sidecars; followed when it changes");
  app.add_option("--log-level", out.log_level, "debug, info, warn or error")->capture_default_str();
  if (auto status = ParseFlags(app, argc, argv)) return status;
  if (out.xds_listen.empty()) {
    out.xds_listen = {At(out.xds_insecure ? "127.0.0.1:15010" : "0.0.0.0:15012")};
  }
  if (auto status = WrongUsage(Fault(out))) return status;
  return WrongUsage(Message(log::SetLevel(out.log_level)));
}

}  // namespace portolan::xds
