#include "common/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "common/openssl.h"
#include "common/status.h"

namespace portolan {
namespace {

absl::Time TimeOf(const ASN1_TIME* time, absl::Time if_unreadable) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return if_unreadable;
  return absl::FromTimeT(timegm(&parts));
}

}  // namespace

Certificate::Certificate(X509* owned) : x509_(owned, X509_free) {}

std::vector<Certificate> Certificate::Salvage(const std::string& pem) {
  ERR_clear_error();
  std::vector<Certificate> read;
  const BioPtr reader = PemReader(pem);
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr)) {
    read.push_back(Certificate(next));
  }
  return read;
}

absl::StatusOr<std::vector<Certificate>> Certificate::ReadAll(const std::string& pem) {
  std::vector<Certificate> read = Salvage(pem);
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = TakeOpensslReason();
  if (!ended) return InvalidArgument("certificate {}: {}", read.size() + 1, reason);
  if (read.empty()) return InvalidArgument("no certificate in PEM");
  return read;
}

absl::Time Certificate::begins() const {
  return TimeOf(X509_get0_notBefore(x509_.get()), absl::InfiniteFuture());
}

absl::Time Certificate::expires() const {
  return TimeOf(X509_get0_notAfter(x509_.get()), absl::InfinitePast());
}

bool Certificate::is_authority() const { return X509_check_ca(x509_.get()) == 1; }

bool Certificate::IsFor(const std::string& name) const {
  return X509_check_host(x509_.get(), name.data(), name.size(), 0, nullptr) == 1;
}

bool Certificate::IsSignedBy(const Certificate& authority) const {
  const bool named = X509_check_issued(authority.x509_.get(), x509_.get()) == X509_V_OK;
  const bool is_signed =
      named && X509_verify(x509_.get(), X509_get0_pubkey(authority.x509_.get())) == 1;
  ERR_clear_error();
  return is_signed;
}

bool Certificate::FitsKey(EVP_PKEY* key) const {
  const bool fits = X509_check_private_key(x509_.get(), key) == 1;
  ERR_clear_error();
  return fits;
}

std::string Certificate::Pem() const {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x509_.get());
  return TakeText(out);
}

bool operator==(const Certificate& a, const Certificate& b) {
  return X509_cmp(a.x509_.get(), b.x509_.get()) == 0;
}

std::string Written(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

}  // namespace portolan
