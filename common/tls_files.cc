#include "common/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"

namespace portolan {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;

struct OpensslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, OpensslFree>;
using Certificate = std::unique_ptr<X509, OpensslFree>;
using Key = std::unique_ptr<EVP_PKEY, OpensslFree>;

Bio Reader(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Takes the reason from OpenSSL's queue, which is empty afterwards.
std::string TakeReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown error";
}

// OpenSSL would ask at the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const std::string& path,
                                                           const std::string& pem) {
  ERR_clear_error();
  std::vector<Certificate> certificates;
  const Bio reader = Reader(pem);
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended) {
    return InvalidArgument("{}: certificate {}: {}", path, certificates.size() + 1, TakeReason());
  }
  ERR_clear_error();
  if (certificates.empty()) return InvalidArgument("{}: no certificate in PEM", path);
  return certificates;
}

absl::StatusOr<Key> ParseKey(const std::string& path, const std::string& pem) {
  ERR_clear_error();
  const Bio reader = Reader(pem);
  Key key(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassphrase, nullptr));
  if (key != nullptr) return key;
  return InvalidArgument("{}: no key in PEM that can be read without a passphrase: {}", path,
                         TakeReason());
}

absl::Time ExpiryOf(const X509* certificate) {
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&time));
}

std::string Written(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
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
  const X509* own = certificates->front().get();
  if (X509_check_private_key(own, key->get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("{}: not the key of the certificate in {}", files.key,
                           files.certificate);
  }
  const absl::Time expires = ExpiryOf(own);
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
