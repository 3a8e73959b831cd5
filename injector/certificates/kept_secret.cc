#include "injector/certificates/kept_secret.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan::injector {
namespace {

using nlohmann::json;

// The data of a Secret as the API has it; what is no base64 is empty.
SecretData Decoded(const json& secret) {
  SecretData data;
  const auto found = secret.find("data");
  if (found == secret.end() || !found->is_object()) return data;
  for (const auto& [key, value] : found->items()) {
    std::string text;
    if (value.is_string()) absl::Base64Unescape(value.get<std::string>(), &text);
    data[key] = std::move(text);
  }
  return data;
}

json Encoded(const SecretData& data) {
  json encoded = json::object();
  for (const auto& [key, text] : data) encoded[key] = absl::Base64Escape(text);
  return encoded;
}

}  // namespace

KeptSecret::KeptSecret(ApiClient& client, std::string name_space, std::string name,
                       std::string type)
    : name_space_(std::move(name_space)),
      name_(std::move(name)),
      type_(std::move(type)),
      call_(client) {}

std::string KeptSecret::Path() const {
  return fmt::format("/api/v1/namespaces/{}/secrets", name_space_);
}

void KeptSecret::Keep(Decide decide, Done done) {
  decide_ = std::move(decide);
  done_ = std::move(done);
  tries_ = 0;
  Read();
}

void KeptSecret::Read() {
  call_.Start({.target = Path() + "/" + name_}, "get secrets " + name_,
              [this](const absl::StatusOr<std::string>& body) { OnRead(body); });
}

void KeptSecret::OnRead(const absl::StatusOr<std::string>& body) {
  const bool absent = absl::IsNotFound(body.status());
  if (!body.ok() && !absent) return Finish(body.status());
  const json secret = absent ? json::object() : json::parse(*body, nullptr, false);
  if (!secret.is_object()) {
    return Finish(absl::UnavailableError("get secrets " + name_ + ": no JSON object came back"));
  }
  std::optional<SecretData> stored;
  if (!absent) stored = Decoded(secret);
  const absl::StatusOr<Wanted> wanted = decide_(stored);
  if (!wanted.ok()) return Finish(wanted.status());
  if (wanted->why.empty()) return Finish(wanted->data);
  Write(absent ? "" : *body, *wanted);
}

void KeptSecret::Write(const std::string& read, const Wanted& wanted) {
  log::info("secret {}/{}: {}; writing it", name_space_, name_, wanted.why);
  json secret = {{"apiVersion", "v1"},
                 {"kind", "Secret"},
                 {"metadata", {{"name", name_}, {"namespace", name_space_}}},
                 {"type", type_}};
  // What is there keeps its labels, annotations and type, and carries its resourceVersion.
  if (!read.empty()) secret = json::parse(read, nullptr, false);
  secret["data"] = Encoded(wanted.data);
  ApiRequest request;
  request.method = read.empty() ? "POST" : "PUT";
  request.target = read.empty() ? Path() : Path() + "/" + name_;
  request.body = secret.dump(-1, ' ', false, json::error_handler_t::replace);
  call_.Start(std::move(request),
              fmt::format("{} secrets {}", read.empty() ? "create" : "update", name_),
              [this, data = wanted.data](const absl::StatusOr<std::string>& body) {
                OnWritten(data, body);
              });
}

void KeptSecret::OnWritten(const SecretData& data, const absl::StatusOr<std::string>& body) {
  if (body.ok()) {
    writes_.Add();
    return Finish(data);
  }
  const bool lost = absl::IsAborted(body.status()) || absl::IsAlreadyExists(body.status());
  if (!lost || ++tries_ >= kMostConflicts) return Finish(body.status());
  conflicts_.Add();
  log::info("secret {}/{}: another was first; reading what it wrote", name_space_, name_);
  Read();
}

void KeptSecret::Finish(const absl::StatusOr<SecretData>& result) {
  const Done done = std::exchange(done_, nullptr);
  done(result);
}

}  // namespace portolan::injector
