#include "injector/certificates/webhook_trust.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "common/certificate.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan::injector {
namespace {

using nlohmann::json;

std::string StringAt(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool Trusts(const WebhookBundle& webhook, const Certificate& own) {
  const std::vector<Certificate> trusted = Certificate::Salvage(webhook.bundle);
  return std::any_of(trusted.begin(), trusted.end(),
                     [&](const Certificate& ca) { return own.IsSignedBy(ca); });
}

}  // namespace

absl::StatusOr<std::vector<WebhookBundle>> ReadWebhookBundles(const std::string& configuration) {
  const json object = json::parse(configuration, nullptr, false);
  if (StringAt(object, "kind") != "MutatingWebhookConfiguration") {
    return absl::UnavailableError("what came back is no MutatingWebhookConfiguration");
  }
  std::vector<WebhookBundle> webhooks;
  const auto list = object.find("webhooks");
  if (list == object.end() || !list->is_array()) return webhooks;
  for (const json& each : *list) {
    WebhookBundle& webhook = webhooks.emplace_back();
    webhook.webhook = StringAt(each, "name");
    const auto client = each.is_object() ? each.find("clientConfig") : each.end();
    if (client == each.end()) continue;
    absl::Base64Unescape(StringAt(*client, "caBundle"), &webhook.bundle);
  }
  return webhooks;
}

std::string PatchOfBundles(const std::vector<WebhookBundle>& webhooks, const std::string& bundle) {
  const std::string encoded = absl::Base64Escape(bundle);
  json patch = json::array();
  for (size_t i = 0; i < webhooks.size(); ++i) {
    if (webhooks[i].bundle == bundle) continue;
    const std::string at = fmt::format("/webhooks/{}/", i);
    patch.push_back({{"op", "test"}, {"path", at + "name"}, {"value", webhooks[i].webhook}});
    // Of RFC 6902's operations the one that sets a member, there or not.
    patch.push_back({{"op", "add"}, {"path", at + "clientConfig/caBundle"}, {"value", encoded}});
  }
  return patch.empty() ? "" : patch.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool TrustedByAll(const std::vector<WebhookBundle>& webhooks, const std::string& certificate) {
  const std::vector<Certificate> own = Certificate::Salvage(certificate);
  return !own.empty() && !webhooks.empty() &&
         std::all_of(webhooks.begin(), webhooks.end(),
                     [&](const WebhookBundle& webhook) { return Trusts(webhook, own[0]); });
}

WebhookTrust::WebhookTrust(ApiClient& client, std::string name)
    : name_(std::move(name)), call_(client) {}

std::string WebhookTrust::Path() const {
  return "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + name_;
}

void WebhookTrust::Keep(const std::string& bundle, Done done) {
  bundle_ = bundle;
  done_ = std::move(done);
  tries_ = 0;
  Read();
}

void WebhookTrust::Read() {
  call_.Start({.target = Path()}, "get mutatingwebhookconfigurations " + name_,
              [this](const absl::StatusOr<std::string>& body) { OnRead(body); });
}

void WebhookTrust::OnRead(const absl::StatusOr<std::string>& body) {
  if (!body.ok()) return Finish(body.status());
  const auto webhooks = ReadWebhookBundles(*body);
  if (!webhooks.ok()) return Finish(webhooks.status());
  std::string patch = PatchOfBundles(*webhooks, bundle_);
  if (patch.empty()) return Finish(webhooks);
  log::info("mutatingwebhookconfiguration {}: another caBundle than ours; replacing it", name_);
  ApiRequest request;
  request.method = "PATCH";
  request.target = Path();
  request.body = std::move(patch);
  request.content_type = "application/json-patch+json";
  call_.Start(std::move(request), "patch mutatingwebhookconfigurations " + name_,
              [this](const absl::StatusOr<std::string>& answer) { OnPatched(answer); });
}

void WebhookTrust::OnPatched(const absl::StatusOr<std::string>& body) {
  if (body.ok()) {
    patches_.Add();
    return Finish(ReadWebhookBundles(*body));
  }
  // 422: a test failed; 409: it changed while it was patched.
  const bool changed = absl::IsInvalidArgument(body.status()) || absl::IsAborted(body.status());
  if (!changed || ++tries_ >= kMostTries) return Finish(body.status());
  Read();
}

void WebhookTrust::Finish(const absl::StatusOr<std::vector<WebhookBundle>>& result) {
  const Done done = std::exchange(done_, nullptr);
  done(result);
}

void WebhookTrust::AddMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_injector_webhook_patches_total",
                   "How often the caBundle of the webhooks was replaced.", {},
                   static_cast<double>(patches_.value()));
}

}  // namespace portolan::injector
