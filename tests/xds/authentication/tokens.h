// Tokens as an API server issues them, signed on the spot.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "tests/common/certificates.h"

namespace portolan::xds::test {

inline std::string Base64Url(const std::string& bytes) {
  std::string text = absl::WebSafeBase64Escape(bytes);
  while (text.ends_with('=')) text.pop_back();
  return text;
}

inline std::string BytesOf(const EVP_PKEY* key, const char* parameter, size_t size) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, parameter, &number);
  std::string bytes(size == 0 ? static_cast<size_t>(BN_num_bytes(number)) : size, '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()),
               static_cast<int>(bytes.size()));
  BN_free(number);
  return bytes;
}

// A key that signs tokens.
class Issuer {
 public:
  enum Kind { kRsa, kEc };
  explicit Issuer(Kind kind, std::string id = "key-1")
      : kind_(kind),
        id_(std::move(id)),
        key_(kind == kRsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")) {}

  // What a projected token of a pod says.
  static nlohmann::json Payload(const std::string& name_space = "default",
                                const std::string& pod = "web-0") {
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    return {{"aud", {"portolan"}},
            {"exp", now + 3600},
            {"iat", now},
            {"nbf", now},
            {"iss", "https://kubernetes.default.svc.cluster.local"},
            {"sub", "system:serviceaccount:" + name_space + ":default"},
            {"kubernetes.io",
             {{"namespace", name_space},
              {"node", {{"name", "node-1"}, {"uid", "n"}}},
              {"pod", {{"name", pod}, {"uid", "p-" + pod}}},
              {"serviceaccount", {{"name", "default"}, {"uid", "s"}}}}}};
  }

  std::string Sign(const nlohmann::json& payload, std::string algorithm = {}) const {
    if (algorithm.empty()) algorithm = kind_ == kRsa ? "RS256" : "ES256";
    const nlohmann::json header = {{"alg", algorithm}, {"kid", id_}};
    const std::string text = Base64Url(header.dump()) + "." + Base64Url(payload.dump());
    return text + "." + Base64Url(Signature(text));
  }
  std::string Token(const std::string& name_space = "default",
                    const std::string& pod = "web-0") const {
    return Sign(Payload(name_space, pod));
  }

  std::string Pem() const {
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(out, key_.get());
    return portolan::test::TakeText(out);
  }
  nlohmann::json Jwk() const {
    if (kind_ == kRsa) {
      return {{"kty", "RSA"},
              {"kid", id_},
              {"n", Base64Url(BytesOf(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0))},
              {"e", Base64Url(BytesOf(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0))}};
    }
    return {{"kty", "EC"},
            {"crv", "P-256"},
            {"kid", id_},
            {"x", Base64Url(BytesOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32))},
            {"y", Base64Url(BytesOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32))}};
  }

 private:
  std::string Signature(const std::string& text) const {
    std::string signature(512, '\0');
    size_t size = signature.size();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get());
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    EVP_MD_CTX_free(context);
    signature.resize(size);
    if (kind_ == kRsa) return signature;
    const auto* der = reinterpret_cast<const unsigned char*>(signature.data());
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size));
    std::string halves(64, '\0');
    auto* out = reinterpret_cast<unsigned char*>(halves.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32);
    ECDSA_SIG_free(pair);
    return halves;
  }

  const Kind kind_;
  const std::string id_;
  const std::unique_ptr<EVP_PKEY, portolan::test::X509Free> key_;
};

}  // namespace portolan::xds::test
