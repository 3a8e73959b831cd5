// Certificates made on the spot, and the files they are read from.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "common/tls_files.h"

namespace portolan::test {

struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

struct Identity {
  std::unique_ptr<EVP_PKEY, X509Free> key{EVP_EC_gen("P-256")};
  std::unique_ptr<X509, X509Free> certificate{X509_new()};
};

// Expires `days` - 1 days from now; for the names of `alternative` ("DNS:a.example,IP:127.0.0.1");
// signed by `issuer`, or by itself as a CA.
inline Identity MakeIdentity(const char* name, const Identity* issuer, const char* alternative = "",
                             long days = 2) {
  constexpr long kDay = 24 * 3600;
  Identity made;
  X509* x = made.certificate.get();
  static long serial = 1;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), -10 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x), (days - 1) * kDay);
  X509_set_pubkey(x, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  const Identity& signer = issuer != nullptr ? *issuer : made;
  X509_set_issuer_name(x, X509_get_subject_name(signer.certificate.get()));
  const auto extend = [x](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_nconf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  if (issuer == nullptr) extend(NID_basic_constraints, "critical,CA:TRUE");
  if (*alternative != '\0') extend(NID_subject_alt_name, alternative);
  EXPECT_GT(X509_sign(x, signer.key.get(), EVP_sha256()), 0);
  return made;
}

inline std::string TakeText(BIO* bio) {
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio, &text);
  std::string taken(text, static_cast<size_t>(length));
  BIO_free(bio);
  return taken;
}

inline std::string CertificatePem(const Identity& identity) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, identity.certificate.get());
  return TakeText(out);
}

inline std::string KeyPem(const Identity& identity) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return TakeText(out);
}

// Whatever may be wrong with it.
inline TlsIdentity Unchecked(const Identity& identity) {
  return {CertificatePem(identity), KeyPem(identity), absl::InfiniteFuture()};
}

// Files that last as long as the test.
class PemFiles {
 public:
  PemFiles() {
    char path[] = "/tmp/portolan_tls_XXXXXX";
    folder_ = mkdtemp(path);
  }
  ~PemFiles() { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const Identity& identity) {
    return WriteText(name, CertificatePem(identity));
  }
  std::string WriteKey(const std::string& name, const Identity& identity) {
    return WriteText(name, KeyPem(identity));
  }
  std::string WriteText(const std::string& name, const std::string& text) {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

}  // namespace portolan::test
