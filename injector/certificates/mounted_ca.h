// The CAs in a file that others write (cert-manager's ca.crt), given to those who are to trust
// them: whoever asks, and the webhook configuration where it is not somebody else's to write.
//
// On the loop's thread. A file that cannot be used leaves what was read before in force.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "common/followed_file.h"
#include "common/kubernetes/api_client.h"
#include "common/metrics.h"
#include "injector/certificates/webhook_trust.h"

namespace portolan::injector {

class MountedCa {
 public:
  using OnBundle = std::function<void(const std::string& pem)>;

  // `webhooks`: a client to keep the webhook configuration of that name by; null: it is not ours.
  // Both outlive it.
  MountedCa(EventLoop& loop, ApiClient* webhooks, const std::string& configuration,
            const std::string& path, OnBundle on_bundle);

  // Reads the file, and calls on_bundle before it returns; an error if it cannot be used.
  absl::Status Start();
  // The webhook configuration may have changed: looks, but at most once a second, as replicas may
  // have the old file and the new one for a while.
  void LookSoon();

  void AddMetrics(MetricFamilies& families) const;

 private:
  static constexpr absl::Duration kLookEvery = absl::Seconds(10);
  static constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

  void Take(const std::string& pem);
  void Look();

  const std::string path_;
  const OnBundle on_bundle_;
  std::optional<WebhookTrust> webhook_;
  std::string bundle_;
  absl::Status status_;                                   // of the file, as last read
  std::string fault_;                                     // of the webhook configuration
  absl::Duration looked_at_ = -absl::InfiniteDuration();  // Monotonic
  bool looking_ = false;
  EventLoop::Timer timer_;
  FollowedFile file_;
};

}  // namespace portolan::injector
