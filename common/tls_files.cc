#include "common/tls_files.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/certificate.h"
#include "common/files.h"
#include "common/log.h"
#include "common/openssl.h"
#include "common/status.h"

namespace portolan {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const std::string& path,
                                                           const std::string& pem) {
  auto certificates = Certificate::ReadAll(pem);
  if (!certificates.ok()) return InvalidArgument("{}: {}", path, Message(certificates.status()));
  return certificates;
}

absl::StatusOr<KeyPtr> ParseKey(const std::string& path, const std::string& pem) {
  KeyPtr key = ReadKey(pem);
  if (key != nullptr) return key;
  return InvalidArgument("{}: no key in PEM that can be read without a passphrase: {}", path,
                         TakeOpensslReason());
}

}  // namespace

absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsIdentityFiles& files) {
  auto certificate_pem = ReadFile(files.certificate, kMaxFileBytes);
  if (!certificate_pem.ok()) return certificate_pem.status();
  auto key_pem = ReadFile(files.key, kMaxFileBytes);
  if (!key_pem.ok()) return key_pem.status();
  const auto certificates = ParseCertificates(files.certificate, *certificate_pem);
  if (!certificates.ok()) return certificates.status();
  const auto key = ParseKey(files.key, *key_pem);
  if (!key.ok()) return key.status();
  const Certificate& own = certificates->front();
  if (!own.FitsKey(key->get())) {
    return InvalidArgument("{}: not the key of the certificate in {}", files.key,
                           files.certificate);
  }
  const absl::Time expires = own.expires();
  if (expires <= absl::Now()) {
    return InvalidArgument("{}: the certificate expired at {}", files.certificate,
                           Written(expires));
  }
  return TlsIdentity{*std::move(certificate_pem), *std::move(key_pem), expires};
}

absl::StatusOr<std::string> LoadTlsRoots(const std::string& path) {
  auto pem = ReadFile(path, kMaxFileBytes);
  if (!pem.ok()) return pem;
  const auto certificates = ParseCertificates(path, *pem);
  if (!certificates.ok()) return certificates.status();
  return pem;
}

FollowedTlsIdentity::FollowedTlsIdentity(EventLoop& loop, TlsIdentityFiles files,
                                         std::function<void(const TlsIdentity&)> on_change)
    : files_(std::move(files)),
      on_change_(std::move(on_change)),
      timer_(loop.AddTimer([this] { Look(); })) {}

absl::Status FollowedTlsIdentity::Start() {
  seen_ = read_ = LookAtFiles();
  auto identity = LoadTlsIdentity(files_);
  if (!identity.ok()) return identity.status();
  current_ = *std::move(identity);
  timer_.Start(kLookEvery);
  return absl::OkStatus();
}

FollowedTlsIdentity::Stamps FollowedTlsIdentity::LookAtFiles() const {
  return {FileStamp::Of(files_.certificate), FileStamp::Of(files_.key)};
}

void FollowedTlsIdentity::Look() {
  timer_.Start(kLookEvery);
  const Stamps now = LookAtFiles();
  const bool settled = now == seen_;
  seen_ = now;
  if (!settled || now == read_) return;
  read_ = now;
  Read();
}

void FollowedTlsIdentity::Read() {
  auto identity = LoadTlsIdentity(files_);
  if (!identity.ok()) {
    failures_.Add();
    log::error("{}; the certificate before it stays in force until {}", Message(identity.status()),
               Written(current_.expires));
    return;
  }
  if (*identity == current_) return;
  current_ = *std::move(identity);
  reloads_.Add();
  log::info("{} read again: the certificate is valid until {}", files_.certificate,
            Written(current_.expires));
  on_change_(current_);
}

void FollowedTlsIdentity::AddMetrics(MetricFamilies& families) const {
  constexpr char kReloads[] = "portolan_tls_reloads_total";
  AddCounterSample(families, kReloads, "Changed certificates and keys that were read.",
                   {{"result", "ok"}}, static_cast<double>(reloads_.value()));
  AddCounterSample(families, kReloads, "", {{"result", "failed"}},
                   static_cast<double>(failures_.value()));
  AddGaugeSample(families, "portolan_tls_certificate_expiry_timestamp_seconds",
                 "When the certificate in force expires, in seconds since 1970.", {},
                 static_cast<double>(absl::ToUnixSeconds(current_.expires)));
}

}  // namespace portolan
