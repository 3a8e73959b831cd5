#include "injector/certificates/authority.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/openssl.h"
#include "common/status.h"

namespace portolan::injector {
namespace {

// Random, positive, of at most 20 octets (RFC 5280, 4.1.2.2).
constexpr int kSerialBits = 127;

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, TakeOpensslReason()));
}

bool SetSerial(X509* x) {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_new(), BN_free);
  return number != nullptr &&
         BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x)) != nullptr;
}

bool AddName(X509* x, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(x), field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool Extend(X509* x, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(x, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

struct Draft {
  X509Ptr x509{X509_new()};
  KeyPtr key{EVP_EC_gen("P-256")};
};

// All but the issuer, the extensions and the signature.
bool Begin(const Draft& draft, const std::string& common_name, absl::Time begins,
           absl::Time expires) {
  X509* x = draft.x509.get();
  return x != nullptr && draft.key != nullptr && X509_set_version(x, X509_VERSION_3) == 1 &&
         SetSerial(x) && ASN1_TIME_set(X509_getm_notBefore(x), absl::ToTimeT(begins)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x), absl::ToTimeT(expires)) != nullptr &&
         AddName(x, "O", "Portolan") && AddName(x, "CN", common_name) &&
         X509_set_pubkey(x, draft.key.get()) == 1;
}

bool Sign(X509* x, X509* issuer, EVP_PKEY* issuer_key,
          const std::vector<std::pair<int, std::string>>& extensions) {
  if (X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1) return false;
  for (const auto& [nid, value] : extensions) {
    if (!Extend(x, issuer, nid, value)) return false;
  }
  return X509_sign(x, issuer_key, EVP_sha256()) > 0;
}

KeyPair InPem(const Draft& draft) {
  const BioPtr certificate(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate.get(), draft.x509.get());
  const BioPtr key(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(key.get(), draft.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {TakeText(certificate), TakeText(key)};
}

}  // namespace

absl::StatusOr<Certificate> CheckPair(const KeyPair& pair, absl::Time now) {
  auto certificates = Certificate::ReadAll(pair.certificate);
  if (!certificates.ok()) return certificates.status();
  const KeyPtr key = ReadKey(pair.key);
  if (key == nullptr) return InvalidArgument("its key: {}", TakeOpensslReason());
  const Certificate& own = certificates->front();
  if (!own.FitsKey(key.get())) return InvalidArgument("its key is another certificate's");
  if (now < own.begins()) return InvalidArgument("it begins at {}", Written(own.begins()));
  if (now >= own.expires()) return InvalidArgument("it expired at {}", Written(own.expires()));
  return own;
}

absl::StatusOr<KeyPair> MakeAuthority(absl::Duration lifetime, absl::Time now) {
  const Draft draft;
  // With its day in the name, so that CAs can be told apart; keys tell them apart for programs.
  const std::string name =
      "Portolan CA of " + absl::FormatTime("%Y-%m-%d %H:%M:%S", now, absl::UTCTimeZone());
  X509* x = draft.x509.get();
  if (!Begin(draft, name, now - kClockSkew, now + lifetime) ||
      !Sign(x, x, draft.key.get(),
            {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
             {NID_key_usage, "critical,keyCertSign,cRLSign"},
             {NID_subject_key_identifier, "hash"}})) {
    return Failed("a new CA");
  }
  return InPem(draft);
}

ServerNames NamesOfService(const std::string& service, const std::string& name_space,
                           const std::string& cluster_domain) {
  const std::string in_namespace = service + "." + name_space;
  return {service,
          {in_namespace + ".svc", in_namespace + ".svc." + cluster_domain, in_namespace, service}};
}

absl::StatusOr<KeyPair> SignServer(const KeyPair& authority, const ServerNames& names,
                                   absl::Duration lifetime, absl::Time now) {
  const BioPtr reader = PemReader(authority.certificate);
  const X509Ptr issuer(PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr));
  const KeyPtr issuer_key = ReadKey(authority.key);
  const auto authorities = Certificate::ReadAll(authority.certificate);
  if (issuer == nullptr || issuer_key == nullptr || !authorities.ok()) return Failed("the CA");
  std::string alternative;
  for (const std::string& name : names.dns_names) {
    alternative += (alternative.empty() ? "DNS:" : ",DNS:") + name;
  }
  const absl::Time expires = std::min(now + lifetime, authorities->front().expires());
  const Draft draft;
  if (!Begin(draft, names.common_name, now - kClockSkew, expires) ||
      !Sign(draft.x509.get(), issuer.get(), issuer_key.get(),
            {{NID_basic_constraints, "critical,CA:FALSE"},
             {NID_key_usage, "critical,digitalSignature"},
             {NID_ext_key_usage, "serverAuth"},
             {NID_subject_alt_name, alternative},
             {NID_subject_key_identifier, "hash"},
             {NID_authority_key_identifier, "keyid"}})) {
    return Failed("a certificate for " + names.common_name);
  }
  return InPem(draft);
}

absl::Time RenewalOf(const Certificate& certificate) {
  const absl::Time made = certificate.begins() + kClockSkew;
  return made + (certificate.expires() - made) * 2 / 3;
}

std::string ServerFault(const KeyPair& held, const KeyPair& authority, const ServerNames& names,
                        absl::Time now) {
  const auto own = CheckPair(held, now);
  if (!own.ok()) return std::string(Message(own.status()));
  for (const std::string& name : names.dns_names) {
    if (!own->IsFor(name)) return "it is not for " + name;
  }
  const auto authorities = Certificate::ReadAll(authority.certificate);
  if (!authorities.ok() || !own->IsSignedBy(authorities->front())) return "another CA signs now";
  if (now >= RenewalOf(*own)) return "two thirds of its life are over";
  return {};
}

}  // namespace portolan::injector
