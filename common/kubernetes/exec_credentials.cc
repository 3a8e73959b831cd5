#include "common/kubernetes/exec_credentials.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "common/document/yaml.h"
#include "common/log.h"
#include "common/status.h"
#include "common/token_file.h"

namespace portolan {
namespace {

using nlohmann::json;

// What KUBERNETES_EXEC_INFO tells the command.
std::string Info(const ExecCommand& command, const Access& access) {
  json spec = {{"interactive", false}};
  if (command.provide_cluster_info) {
    json cluster = {{"server", access.server}};
    if (!access.tls_server_name.empty()) cluster["tls-server-name"] = access.tls_server_name;
    if (!access.verified) cluster["insecure-skip-tls-verify"] = true;
    if (!access.ca.empty()) {
      cluster["certificate-authority-data"] = absl::Base64Escape(access.ca);
    }
    if (!access.proxy.empty()) cluster["proxy-url"] = access.proxy;
    if (!command.cluster_config.empty()) {
      cluster["config"] = json::parse(command.cluster_config, nullptr, false);
    }
    spec["cluster"] = std::move(cluster);
  }
  return json({{"apiVersion", command.api_version}, {"kind", "ExecCredential"}, {"spec", spec}})
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

void ReadCredential(const Field& root, const std::string& api_version, ExecCredential& out) {
  const Field version = root["apiVersion"];
  if (version.String() != api_version) {
    version.Fail(fmt::format("'{}' is not {}, which was asked for", version.String(), api_version));
  }
  const Field kind = root["kind"];
  if (kind.String() != "ExecCredential") {
    kind.Fail(fmt::format("'{}' is not ExecCredential", kind.String()));
  }
  const Field status = root["status"];
  const Field token = status["token"];
  out.token = token.String();
  if (!out.token.empty() && !IsToken(out.token)) token.Fail("holds a blank or control character");
  out.client_certificate = status["clientCertificateData"].String();
  out.client_key = status["clientKeyData"].String();
  if (out.client_certificate.empty() != out.client_key.empty()) {
    status.Fail("clientCertificateData and clientKeyData: one is of no use without the other");
  }
  if (out.token.empty() && out.client_certificate.empty()) {
    status.Fail("holds neither a token nor a client certificate");
  }
  const Field expires = status["expirationTimestamp"];
  if (!expires.present()) return;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, expires.String(), &out.expires, &error)) {
    expires.Fail(fmt::format("'{}' is no time as RFC 3339 writes it", expires.String()));
  }
}

}  // namespace

absl::StatusOr<ExecCredential> ParseExecCredential(const std::string& text,
                                                   const std::string& api_version) {
  std::unique_ptr<ExecCredential> credential;
  absl::Status read = ReadYaml(text, [&](const Value& value, int) -> absl::Status {
    if (credential != nullptr) return InvalidArgument("more than one object");
    credential = std::make_unique<ExecCredential>();
    FieldErrors errors;
    ReadCredential(Field(value, errors), api_version, *credential);
    if (errors.ok()) return absl::OkStatus();
    return InvalidArgument("{}: {}: {}", errors.first().line, errors.first().path,
                           errors.first().what);
  });
  if (!read.ok()) return read;
  if (credential == nullptr) return InvalidArgument("nothing");
  return *credential;
}

const ExecCredential* ExecCredentials::held() const {
  return held_ != nullptr && absl::Now() < held_->expires ? held_.get() : nullptr;
}

void ExecCredentials::Get(const Access& cluster, Take take) {
  if (const ExecCredential* credential = held()) return take(*credential);
  waiting_.push_back(std::move(take));
  if (running_ != nullptr) return;
  Command::Options options{.argv = {command_.command}, .env = command_.env};
  options.argv.insert(options.argv.end(), command_.args.begin(), command_.args.end());
  options.env.emplace_back("KUBERNETES_EXEC_INFO", Info(command_, cluster));
  running_ = std::make_unique<Command>(
      loop_, std::move(options),
      [this](const absl::StatusOr<std::string>& printed) { OnPrinted(printed); });
}

void ExecCredentials::OnPrinted(const absl::StatusOr<std::string>& printed) {
  const absl::StatusOr<ExecCredential> credential = Explain(printed);
  if (credential.ok()) held_ = std::make_unique<ExecCredential>(*credential);
  const auto ended = std::move(running_);  // on the stack until we return
  for (const Take& take : std::exchange(waiting_, {})) take(credential);
}

absl::StatusOr<ExecCredential> ExecCredentials::Explain(
    const absl::StatusOr<std::string>& printed) const {
  if (!printed.ok()) {
    const bool is_missing = absl::IsNotFound(printed.status());
    return FailedPrecondition("exec credentials of {}: {}{}{}", command_.origin,
                              Message(printed.status()),
                              is_missing && !command_.install_hint.empty() ? ": " : "",
                              is_missing ? command_.install_hint : "");
  }
  auto credential = ParseExecCredential(*printed, command_.api_version);
  if (credential.ok()) return credential;
  return FailedPrecondition("exec credentials of {}: {} printed no ExecCredential: {}",
                            command_.origin, command_.command, Message(credential.status()));
}

}  // namespace portolan
