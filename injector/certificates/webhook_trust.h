// What the API server trusts when it calls us: the caBundle of each webhook of a
// MutatingWebhookConfiguration, read, and replaced where it is not ours.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook
//
// The API server takes any text for a caBundle and finds out when a pod is created, so what is
// written was checked before. The role has to allow: get and patch. On the loop's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kubernetes/api_call.h"
#include "common/metrics.h"

namespace portolan::injector {

struct WebhookBundle {
  std::string webhook;
  std::string bundle;  // PEM, decoded

  friend bool operator==(const WebhookBundle&, const WebhookBundle&) = default;
};

// Any thread. An error if `configuration` is no such object.
absl::StatusOr<std::vector<WebhookBundle>> ReadWebhookBundles(const std::string& configuration);

// Any thread. The JSON Patch after which all have `bundle`; empty where they do. It tests each
// webhook's name, so that a list that changed meanwhile makes it fail and changes nothing.
std::string PatchOfBundles(const std::vector<WebhookBundle>& webhooks, const std::string& bundle);

// Any thread. There are webhooks, and each trusts the CA that signed the certificate (PEM).
bool TrustedByAll(const std::vector<WebhookBundle>& webhooks, const std::string& certificate);

class WebhookTrust {
 public:
  // The webhooks as they are now.
  using Done = std::function<void(const absl::StatusOr<std::vector<WebhookBundle>>&)>;

  // `client` outlives it; `name` is the configuration's.
  WebhookTrust(ApiClient& client, std::string name);

  // Gives all webhooks `bundle`. One at a time.
  void Keep(const std::string& bundle, Done done);

  void AddMetrics(MetricFamilies& families) const;

 private:
  static constexpr int kMostTries = 5;

  void Read();
  void OnRead(const absl::StatusOr<std::string>& body);
  void OnPatched(const absl::StatusOr<std::string>& body);
  void Finish(const absl::StatusOr<std::vector<WebhookBundle>>& result);
  std::string Path() const;

  const std::string name_;
  ApiCall call_;
  std::string bundle_;
  Done done_;
  int tries_ = 0;
  Counter patches_;
};

}  // namespace portolan::injector
