#include "xds/authentication/issuer_keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/authentication/token_claims.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using Key = std::unique_ptr<EVP_PKEY, IssuerKey::Free>;

constexpr size_t kMaxFileBytes = 1u << 20;
constexpr int kMinRsaBits = 2048;
// Of ES256's signature, RFC 7518, 3.4: R and S, each of the size of the curve's order.
constexpr size_t kEs256HalfBytes = 32;

struct OpensslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* params) const { OSSL_PARAM_free(params); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpensslFree>;

bool IsRsa(const EVP_PKEY* key) { return EVP_PKEY_is_a(key, "RSA") == 1; }
bool IsP256(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_bits(key) == 256;
}

std::vector<IssuerKey> ReadPem(const std::string& text) {
  std::vector<IssuerKey> keys;
  const Owned<BIO> reader(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  while (EVP_PKEY* key = PEM_read_bio_PUBKEY(reader.get(), nullptr, nullptr, nullptr)) {
    keys.push_back({{}, Key(key)});
  }
  ERR_clear_error();
  return keys;
}

// Bytes of a member in base64url; empty if there is none.
std::string Bytes(const json& jwk, const char* name) {
  const auto found = jwk.find(name);
  std::string bytes;
  if (found == jwk.end() || !found->is_string()) return {};
  return absl::WebSafeBase64Unescape(found->get<std::string>(), &bytes) ? bytes : std::string();
}

Owned<BIGNUM> Number(const std::string& bytes) {
  return Owned<BIGNUM>(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()), nullptr));
}

Key KeyFrom(const char* kind, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (params != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get());
  }
  ERR_clear_error();
  return Key(key);
}

Key RsaKey(const json& jwk) {
  const Owned<BIGNUM> modulus = Number(Bytes(jwk, "n"));
  const Owned<BIGNUM> exponent = Number(Bytes(jwk, "e"));
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  return KeyFrom("RSA", builder.get());
}

Key EcKey(const json& jwk) {
  // The uncompressed point of SEC 1, 2.3.3.
  const std::string point = "\x04" + Bytes(jwk, "x") + Bytes(jwk, "y");
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  return KeyFrom("EC", builder.get());
}

absl::StatusOr<std::vector<IssuerKey>> ReadJwks(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  const auto list = document.is_object() ? document.find("keys") : document.end();
  if (!document.is_object() || list == document.end() || !list->is_array()) {
    return InvalidArgument("is no JWKS: an object with a list of \"keys\"");
  }
  std::vector<IssuerKey> keys;
  for (size_t i = 0; i < list->size(); ++i) {
    const json& jwk = (*list)[i];
    if (!jwk.is_object()) return InvalidArgument("keys[{}] is no object", i);
    const auto word = [&](const char* name) {
      const auto found = jwk.find(name);
      return found != jwk.end() && found->is_string() ? found->get<std::string>() : "";
    };
    const bool is_rsa = word("kty") == "RSA";
    const bool is_p256 = word("kty") == "EC" && word("crv") == "P-256";
    if (!is_rsa && !is_p256) continue;
    Key key = is_rsa ? RsaKey(jwk) : EcKey(jwk);
    if (key == nullptr) return InvalidArgument("keys[{}] is no {} key", i, word("kty"));
    keys.push_back({word("kid"), std::move(key)});
  }
  return keys;
}

// ES256's signature as OpenSSL has it: DER of SEC 1, C.5.
std::string Der(const std::string& signature) {
  if (signature.size() != 2 * kEs256HalfBytes) return {};
  const Owned<ECDSA_SIG> pair(ECDSA_SIG_new());
  ECDSA_SIG_set0(pair.get(), Number(signature.substr(0, kEs256HalfBytes)).release(),
                 Number(signature.substr(kEs256HalfBytes)).release());
  unsigned char* out = nullptr;
  const int bytes = i2d_ECDSA_SIG(pair.get(), &out);
  std::string der(reinterpret_cast<char*>(out), bytes < 0 ? 0 : static_cast<size_t>(bytes));
  OPENSSL_free(out);
  return der;
}

bool HasSigned(EVP_PKEY* key, const TokenClaims& claims) {
  if (claims.algorithm == "RS256" ? !IsRsa(key) : !IsP256(key)) return false;
  const std::string signature = IsRsa(key) ? claims.signature : Der(claims.signature);
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(),
                       reinterpret_cast<const unsigned char*>(claims.signed_part.data()),
                       claims.signed_part.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

absl::StatusOr<std::vector<IssuerKey>> ParseIssuerKeys(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const bool is_json = begin != std::string::npos && text[begin] == '{';
  auto keys = is_json ? ReadJwks(text) : ReadPem(text);
  if (!keys.ok()) return keys.status();
  if (keys->empty()) return InvalidArgument("no public key, neither PEM nor JWKS");
  for (size_t i = 0; i < keys->size(); ++i) {
    const EVP_PKEY* key = (*keys)[i].key.get();
    if (IsP256(key) || (IsRsa(key) && EVP_PKEY_get_bits(key) >= kMinRsaBits)) continue;
    return InvalidArgument("key {} is neither RSA of {} bits or more nor P-256", i + 1,
                           kMinRsaBits);
  }
  return keys;
}

absl::StatusOr<std::unique_ptr<IssuerKeys>> IssuerKeys::Load(const std::string& path) {
  auto keys = std::unique_ptr<IssuerKeys>(new IssuerKeys(path));
  if (absl::Status status = keys->Read(); !status.ok()) return status;
  return keys;
}

absl::Status IssuerKeys::Read() {
  read_ = FileStamp::Of(path_);
  auto text = ReadFile(path_, kMaxFileBytes);
  if (!text.ok()) return text.status();
  auto keys = ParseIssuerKeys(*text);
  if (!keys.ok()) return InvalidArgument("{}: {}", path_, Message(keys.status()));
  keys_ = *std::move(keys);
  return absl::OkStatus();
}

absl::StatusOr<PodIdentity> IssuerKeys::Verify(const std::string& token) {
  if (FileStamp::Of(path_) != read_) {
    if (const absl::Status status = Read(); !status.ok()) {
      log::error("{}; the keys before it stay in force", Message(status));
    }
  }
  const auto claims = ParseTokenClaims(token);
  if (!claims.ok()) return claims.status();
  if (absl::Status status = CheckClaims(*claims); !status.ok()) return status;
  if (claims->algorithm != "RS256" && claims->algorithm != "ES256") {
    return absl::UnauthenticatedError("the token is signed neither by RS256 nor by ES256");
  }
  const bool is_signed = std::any_of(keys_.begin(), keys_.end(), [&](const IssuerKey& key) {
    const bool may_be = key.id.empty() || claims->key_id.empty() || key.id == claims->key_id;
    return may_be && HasSigned(key.key.get(), *claims);
  });
  if (!is_signed) return absl::UnauthenticatedError("the token is signed by no known issuer");
  return IdentityOf(*claims);
}

}  // namespace portolan::xds
