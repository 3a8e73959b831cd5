#include "injector/settings.h"

#include <cstdlib>
#include <string_view>

#include "common/files.h"
#include "common/flags.h"
#include "common/kubernetes/in_cluster.h"
#include "common/log.h"

namespace portolan::injector {
namespace {

// A CA is renewed when a third of its life is left, and what it signed last must end before it.
constexpr int kLifetimesOfCa = 3;

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// As the kubelet says it to every pod with a service account; empty where we are none.
std::string OwnNamespace() {
  std::string name = Environment("POD_NAMESPACE");
  if (!name.empty()) return name;
  const auto file =
      ReadFile(std::string(InCluster::kServiceAccountFolder) + "/namespace", 1u << 10);
  return file.ok() ? *file : std::string();
}

// RFC 1123: what names of Services and namespaces are made of, and of DNS names of certificates.
bool IsLabel(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

bool IsDomain(std::string_view text) {
  while (true) {
    const size_t dot = text.find('.');
    if (!IsLabel(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::string CertificateFault(const Settings& settings) {
  const bool certificate = !settings.tls.certificate.empty();
  if (certificate == settings.tls.key.empty()) {
    return "--tls-cert and --tls-key: one is of no use without the other";
  }
  if (certificate == settings.self_signed) {
    return certificate ? "--self-signed and --tls-cert: certificates are our own or mounted"
                       : "--tls-cert and --tls-key, or --self-signed, have to say where the "
                         "certificate comes from";
  }
  if (settings.self_signed && !settings.ca_file.empty()) {
    return "--ca-file is for --tls-cert: with --self-signed the CA is our own";
  }
  if (settings.patch_webhook && settings.ca_file.empty()) {
    return "--patch-webhook: --ca-file has to say which CA the webhook configuration is to trust";
  }
  return {};
}

std::string NameFault(const Settings& settings) {
  if (settings.name_space.empty()) {
    return "--namespace: not given, and neither POD_NAMESPACE nor a service account says it";
  }
  for (const auto& [flag, name] : {std::pair{"--namespace", &settings.name_space},
                                   {"--control-service", &settings.control_service}}) {
    if (!IsLabel(*name)) return fmt::format("{}: '{}' is no name of such an object", flag, *name);
  }
  if (IsDomain(settings.cluster_domain)) return {};
  return fmt::format("--cluster-domain: '{}' is no DNS name in lower case, as in cluster.local",
                     settings.cluster_domain);
}

std::string LifetimeFault(const Settings& settings) {
  if (settings.certificate_lifetime < absl::Seconds(1)) {
    return "--certificate-lifetime: at least 1s";
  }
  if (settings.ca_lifetime >= kLifetimesOfCa * settings.certificate_lifetime) return {};
  return fmt::format("--ca-lifetime {}: at least {} times --certificate-lifetime, which is {}",
                     absl::FormatDuration(settings.ca_lifetime), kLifetimesOfCa,
                     absl::FormatDuration(settings.certificate_lifetime));
}

// What CLI11 cannot say of a single flag. Empty if all is well.
std::string Fault(const Settings& settings) {
  for (const auto fault_of : {CertificateFault, NameFault, LifetimeFault}) {
    if (std::string fault = fault_of(settings); !fault.empty()) return fault;
  }
  return {};
}

}  // namespace

Settings::Settings() : listen{At("0.0.0.0:9443"), At("[::]:9443")} {}

std::optional<int> ParseSettings(int argc, const char* const* argv, Settings& out) {
  CLI::App app("Portolan's webhook: puts a sidecar into the pods that asked for one",
               "portolan-injector");
  AddCommonFlags(app, PORTOLAN_VERSION);
  AddFlag(app, "--listen", out.listen,
          "ADDR:PORT for /inject, /healthz, /ready and /metrics, all over TLS; may be given more "
          "than once; default 0.0.0.0:9443 and [::]:9443");
  app.add_flag("--self-signed", out.self_signed,
               "make a CA and certificates, keep them in Secrets and the webhook configuration, "
               "and renew them");
  app.add_option("--tls-cert", out.tls.certificate,
                 "certificate shown to the API server and those that lead to its CA, PEM; read "
                 "again when it changes");
  app.add_option("--tls-key", out.tls.key, "its key, PEM");
  app.add_option("--ca-file", out.ca_file,
                 "with --tls-cert: the CAs that pods are to know the control plane by, PEM; kept "
                 "in ConfigMap portolan-ca of every namespace");
  app.add_flag("--patch-webhook", out.patch_webhook,
               "with --ca-file: keep it in the webhook configuration too");
  app.add_option("--template", out.template_file,
                 "YAML file of what pods get; read again when it changes")
      ->required();
  app.add_option("--kubeconfig", out.kubeconfig,
                 "how to reach the API server; default: as a pod of its cluster");
  app.add_option("--namespace", out.name_space,
                 "our own namespace, in which nothing is injected; default: POD_NAMESPACE, or that "
                 "of the service account");
  app.add_option("--control-service", out.control_service,
                 "the control plane's Service in it; its pods are those of SERVICE-peers")
      ->capture_default_str();
  app.add_option("--cluster-domain", out.cluster_domain,
                 "the cluster's DNS zone, in the names of certificates")
      ->capture_default_str();
  AddFlag(app, "--ca-lifetime", out.ca_lifetime, "of our own CA; default 8760h");
  AddFlag(app, "--certificate-lifetime", out.certificate_lifetime,
          "of what our own CA signs; default 720h");
  AddFlag(app, "--drain-time", out.drain_time,
          "after SIGTERM: how long new connections are still served; default 5s");
  AddLogFlags(app, out.log_level, out.log_format);
  out.name_space = OwnNamespace();
  out.pod = Environment("POD_NAME");
  if (auto status = ParseFlags(app, argc, argv)) return status;
  if (auto status = WrongUsage(Fault(out))) return status;
  log::SetFormat(out.log_format);
  return WrongUsage(Message(log::SetLevel(out.log_level)));
}

}  // namespace portolan::injector
