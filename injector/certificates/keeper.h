// The injector's own certificates: a CA and what it signs in Secrets, what the API server trusts in
// the webhook configuration, looked at again and again and put right where it differs. Replicas do
// the same and need no leader: all is written by resourceVersion.
//
//   portolan-ca            the CA, the next one, all that are trusted (ca_state.h)
//   portolan-injector-tls  what injectors show to the API server
//   portolan-control-tls   what control planes show to sidecars
//
// A new certificate is shown only once the webhook configuration has trusted it for a while, so
// that no review fails for it. What fails is logged, counted and tried again; what is held is shown
// until then. docs/certificates.md.
//
// On the loop's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "common/string_map.h"
#include "common/tls_files.h"
#include "injector/certificates/authority.h"
#include "injector/certificates/kept_secret.h"
#include "injector/certificates/webhook_trust.h"

namespace portolan::injector {

class CertificateKeeper {
 public:
  struct Options {
    std::string name_space;  // ours
    std::string cluster_domain = "cluster.local";
    absl::Duration ca_lifetime = absl::Hours(24 * 365);
    absl::Duration certificate_lifetime = absl::Hours(24 * 30);
    std::string webhook_configuration = "portolan-injector";
    absl::Duration between_looks = absl::Milliseconds(500);  // at least, whatever happens
    std::function<absl::Time()> now = absl::Now;
  };
  struct Listener {
    std::function<void(const TlsIdentity&)> on_identity;  // to be shown from now on
    std::function<void(const std::string&)> on_bundle;    // PEM of what pods are to trust
  };

  // `loop` and `client` outlive it.
  CertificateKeeper(EventLoop& loop, ApiClient& client, Options options, Listener listener);

  void Start() { Look(); }
  // The webhook configuration may have changed: looks at once, but not without end where somebody
  // else keeps changing it.
  void LookSoon();

  // A certificate is shown that is good and that the webhook configuration trusted when it was last
  // seen.
  bool trusted() const;
  // Why not, for the page that says so; the last failure otherwise. One line, may be empty.
  std::string state() const;

  void AddMetrics(MetricFamilies& families) const;

 private:
  struct Server {
    Server(ApiClient& client, const Options& options, const std::string& service);
    KeptSecret secret;
    ServerNames names;
    KeyPair held;  // as stored; empty: not known yet
  };

  void Look();
  void KeepCa();
  void KeepServer(Server& server, std::function<void()> next);
  void KeepWebhook();
  void OnWebhooks(const absl::StatusOr<std::vector<WebhookBundle>>& webhooks);
  void Show();
  void EndLook();

  absl::StatusOr<KeptSecret::Wanted> DecideCaSecret(const std::optional<SecretData>& stored);
  absl::StatusOr<KeptSecret::Wanted> DecideServer(const Server& server,
                                                  const std::optional<SecretData>& stored) const;
  // Of one step of a look: logged when it begins to fail, when the reason changes and when it ends.
  void Note(const std::string& step, const absl::Status& status);
  absl::Duration look_every() const;

  const Options options_;
  const Listener listener_;
  KeptSecret ca_secret_;
  Server injector_, control_;
  WebhookTrust webhook_;

  CaState ca_;
  std::vector<WebhookBundle> webhooks_;  // as last seen
  KeyPair shown_;                        // empty: none yet
  absl::Time shown_expires_ = absl::InfinitePast();
  bool shown_trusted_ = false;
  // How long the webhook configuration has trusted what is stored, as often as it was looked at.
  KeyPair trusted_;
  absl::Time trusted_since_;

  absl::Duration looked_at_ = -absl::InfiniteDuration();  // Monotonic
  bool looking_ = false;
  bool look_again_ = false;
  bool failed_ = false;  // something, in this look
  int failures_ = 0;     // looks in a row
  StringMap<std::string> faults_;
  Counter looks_ok_, looks_failed_, shown_changes_;
  EventLoop::Timer timer_;
};

}  // namespace portolan::injector
