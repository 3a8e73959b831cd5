#include "injector/certificates/keeper.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "common/text.h"

namespace portolan::injector {
namespace {

constexpr char kCertificate[] = "tls.crt";
constexpr char kKey[] = "tls.key";
constexpr size_t kMaxFaultBytes = 1024;
constexpr absl::Duration kLongestLookEvery = absl::Seconds(10);
constexpr absl::Duration kShortestLookEvery = absl::Milliseconds(200);
constexpr absl::Duration kLongestDelay = absl::Seconds(30);
// API servers hear of a webhook configuration one after the other.
constexpr absl::Duration kSettled = absl::Seconds(5);

KeyPair PairOf(const SecretData& data) {
  const auto at = [&](const char* key) {
    const auto found = data.find(key);
    return found == data.end() ? std::string() : found->second;
  };
  return {at(kCertificate), at(kKey)};
}

// In seconds since 1970; 0 where there is none.
double ExpiryOf(const std::string& pem) {
  const std::vector<Certificate> read = Certificate::Salvage(pem);
  return read.empty() ? 0 : static_cast<double>(absl::ToUnixSeconds(read[0].expires()));
}

}  // namespace

CertificateKeeper::Server::Server(ApiClient& client, const Options& options,
                                  const std::string& service)
    : secret(client, options.name_space, service + "-tls", "kubernetes.io/tls"),
      names(NamesOfService(service, options.name_space, options.cluster_domain)) {}

CertificateKeeper::CertificateKeeper(EventLoop& loop, ApiClient& client, Options options,
                                     Listener listener)
    : options_(std::move(options)),
      listener_(std::move(listener)),
      ca_secret_(client, options_.name_space, "portolan-ca", "Opaque"),
      injector_(client, options_, "portolan-injector"),
      control_(client, options_, "portolan-control"),
      webhook_(client, options_.webhook_configuration),
      timer_(loop.AddTimer([this] { Look(); })) {}

absl::Duration CertificateKeeper::look_every() const {
  return std::clamp(options_.certificate_lifetime / 100, kShortestLookEvery, kLongestLookEvery);
}

void CertificateKeeper::LookSoon() {
  if (looking_) {
    look_again_ = true;
  } else {
    timer_.Start(std::max(absl::ZeroDuration(), looked_at_ + options_.between_looks - Monotonic()));
  }
}

// --- One look: the CA, the injectors' certificate, the webhook configuration, the control planes'
// certificate ---

void CertificateKeeper::Look() {
  looking_ = true;
  looked_at_ = Monotonic();
  look_again_ = failed_ = false;
  KeepCa();
}

void CertificateKeeper::KeepCa() {
  ca_secret_.Keep(
      [this](const std::optional<SecretData>& stored) { return DecideCaSecret(stored); },
      [this](const absl::StatusOr<SecretData>& data) {
        Note("CA", data.status());
        // Without the CA nothing of the rest can be judged.
        if (!data.ok()) return EndLook();
        CaState now = CaState::FromData(*data);
        const bool changed = now.bundle != ca_.bundle;
        ca_ = std::move(now);
        if (changed) listener_.on_bundle(ca_.bundle);
        KeepServer(injector_, [this] { KeepWebhook(); });
      });
}

absl::StatusOr<KeptSecret::Wanted> CertificateKeeper::DecideCaSecret(
    const std::optional<SecretData>& stored) {
  std::optional<CaState> state;
  if (stored.has_value()) state = CaState::FromData(*stored);
  const bool in_force =
      state.has_value() && !webhooks_.empty() &&
      std::all_of(webhooks_.begin(), webhooks_.end(),
                  [&](const WebhookBundle& each) { return each.bundle == state->bundle; });
  auto decision = DecideCa(state, ca_.bundle, in_force, options_.ca_lifetime, options_.now());
  if (!decision.ok()) return decision.status();
  return KeptSecret::Wanted{decision->state.ToData(), decision->why};
}

void CertificateKeeper::KeepServer(Server& server, std::function<void()> next) {
  server.secret.Keep(
      [this, &server](const std::optional<SecretData>& stored) {
        return DecideServer(server, stored);
      },
      [this, &server, next = std::move(next)](const absl::StatusOr<SecretData>& data) {
        Note(server.names.common_name + "'s certificate", data.status());
        if (data.ok()) server.held = PairOf(*data);
        next();
      });
}

absl::StatusOr<KeptSecret::Wanted> CertificateKeeper::DecideServer(
    const Server& server, const std::optional<SecretData>& stored) const {
  const absl::Time now = options_.now();
  const KeyPair held = stored.has_value() ? PairOf(*stored) : KeyPair();
  std::string why = "there is none";
  if (stored.has_value()) why = ServerFault(held, ca_.signing, server.names, now);
  if (why.empty()) return KeptSecret::Wanted{*stored, ""};
  auto made = SignServer(ca_.signing, server.names, options_.certificate_lifetime, now);
  if (!made.ok()) return made.status();
  return KeptSecret::Wanted{{{kCertificate, made->certificate}, {kKey, made->key}}, why};
}

void CertificateKeeper::KeepWebhook() {
  webhook_.Keep(ca_.bundle, [this](const absl::StatusOr<std::vector<WebhookBundle>>& webhooks) {
    OnWebhooks(webhooks);
  });
}

void CertificateKeeper::OnWebhooks(const absl::StatusOr<std::vector<WebhookBundle>>& webhooks) {
  absl::Status status = webhooks.status();
  if (webhooks.ok()) {
    webhooks_ = *webhooks;
    if (webhooks_.empty()) status = absl::UnavailableError("it has no webhooks");
  } else if (absl::IsNotFound(status)) {
    webhooks_.clear();
  }
  Note("webhook configuration", status);
  shown_trusted_ = TrustedByAll(webhooks_, shown_.certificate);
  Show();
  KeepServer(control_, [this] { EndLook(); });
}

void CertificateKeeper::Show() {
  const absl::Time now = options_.now();
  const KeyPair& stored = injector_.held;
  const auto certificate = CheckPair(stored, now);
  if (!certificate.ok()) return;
  if (!TrustedByAll(webhooks_, stored.certificate)) {
    trusted_ = {};
  } else if (trusted_ != stored) {
    trusted_ = stored;
    trusted_since_ = now;
  }
  if (stored == shown_) return;
  const absl::Duration settled = std::min(kSettled, options_.certificate_lifetime / 30);
  const bool is_settled = trusted_ == stored && now - trusted_since_ >= settled;
  if (!is_settled && trusted()) return;
  shown_ = stored;
  shown_expires_ = certificate->expires();
  shown_trusted_ = trusted_ == stored;
  shown_changes_.Add();
  log::info("showing a certificate that is valid until {}", Written(shown_expires_));
  listener_.on_identity({stored.certificate, stored.key, shown_expires_});
}

void CertificateKeeper::EndLook() {
  looking_ = false;
  (failed_ ? looks_failed_ : looks_ok_).Add();
  failures_ = failed_ ? std::min(failures_ + 1, 10) : 0;
  if (look_again_) return LookSoon();
  if (!failed_) return timer_.Start(look_every());
  thread_local absl::InsecureBitGen random;
  const absl::Duration delay = std::min(absl::Milliseconds(500) * (1 << failures_), kLongestDelay);
  timer_.Start(delay * absl::Uniform(random, 0.5, 1.0));
}

void CertificateKeeper::Note(const std::string& step, const absl::Status& status) {
  const auto fault = faults_.find(step);
  if (status.ok()) {
    if (fault == faults_.end()) return;
    log::info("{}: well again", step);
    faults_.erase(fault);
    return;
  }
  failed_ = true;
  std::string text = OneLine(Message(status), kMaxFaultBytes);
  if (fault != faults_.end() && fault->second == text) return;
  log::warn("{}: {}; what is held is shown as long as it lasts, trying again", step, text);
  faults_[step] = std::move(text);
}

// --- What others ask ---

bool CertificateKeeper::trusted() const {
  return shown_trusted_ && options_.now() < shown_expires_;
}

std::string CertificateKeeper::state() const {
  std::string text;
  for (const auto& [step, fault] : faults_) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", step, fault);
  }
  if (!text.empty() || trusted()) return text;
  return "the webhook configuration does not trust the certificate that is shown";
}

void CertificateKeeper::AddMetrics(MetricFamilies& families) const {
  const auto expiry = [&](std::string_view certificate, const std::string& pem) {
    SetGaugeSample(families, "portolan_injector_certificate_expiry_timestamp_seconds",
                   "When a certificate that is held expires, in seconds since 1970; 0: none.",
                   {{"certificate", certificate}}, ExpiryOf(pem));
  };
  expiry("ca", ca_.signing.certificate);
  expiry("injector", injector_.held.certificate);
  expiry("control", control_.held.certificate);
  expiry("shown", shown_.certificate);
  const auto looks = [&](std::string_view result, const Counter& counter) {
    AddCounterSample(families, "portolan_injector_certificate_looks_total",
                     "How often Secrets and webhook configuration were looked at.",
                     {{"result", result}}, static_cast<double>(counter.value()));
  };
  looks("ok", looks_ok_);
  looks("failed", looks_failed_);
  for (const KeptSecret* secret : {&ca_secret_, &injector_.secret, &control_.secret}) {
    AddCounterSample(families, "portolan_injector_secret_writes_total", "Secrets written.",
                     {{"secret", secret->name()}}, static_cast<double>(secret->writes()));
    AddCounterSample(families, "portolan_injector_secret_conflicts_total",
                     "Secrets that another replica wrote first.", {{"secret", secret->name()}},
                     static_cast<double>(secret->conflicts()));
  }
  webhook_.AddMetrics(families);
  AddCounterSample(families, "portolan_injector_certificates_shown_total",
                   "Certificates that the server began to show.", {},
                   static_cast<double>(shown_changes_.value()));
  SetGaugeSample(families, "portolan_injector_certificate_trusted",
                 "1 while the webhook configuration, as last seen, trusts what is shown.", {},
                 trusted() ? 1 : 0);
}

}  // namespace portolan::injector
