// Any bytes as a token, as the payload of one, as the API server's review of one, and as a file of
// keys: refused with a reason, or of a shape that can be relied on.
#include <openssl/evp.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "xds/authentication/issuer_keys.h"
#include "xds/authentication/token_claims.h"
#include "xds/authentication/token_reviewer.h"

namespace portolan::xds {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void AsToken(std::string_view token) {
  const auto claims = ParseTokenClaims(token);
  if (!claims.ok()) return Require(absl::IsUnauthenticated(claims.status()));
  Require(token.starts_with(claims->signed_part));
  if (!CheckClaims(*claims).ok()) return;
  Require(!claims->name_space.empty() && !claims->pod.empty());
  Require(claims->expires > absl::UnixEpoch());
}

void AsPayload(const std::string& bytes) {
  std::string payload = absl::WebSafeBase64Escape(bytes);
  while (payload.ends_with('=')) payload.pop_back();
  AsToken("e30." + payload + ".AA");
}

void AsReview(const std::string& body) {
  const auto identity = ParseTokenReview(body, absl::InfiniteFuture());
  if (identity.ok()) Require(!identity->name_space.empty() && !identity->pod.empty());
}

void AsKeys(const std::string& text) {
  const auto keys = ParseIssuerKeys(text);
  if (!keys.ok()) return;
  Require(!keys->empty());
  for (const IssuerKey& key : *keys) Require(key.key != nullptr);
}

}  // namespace
}  // namespace portolan::xds

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  portolan::xds::AsToken(text);
  portolan::xds::AsPayload(text);
  portolan::xds::AsReview(text);
  portolan::xds::AsKeys(text);
  return 0;
}
